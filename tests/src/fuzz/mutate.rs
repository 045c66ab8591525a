//! Edits that make broken files of valid ones: what transfers, disks and programs do to files, and what an attacker
//! would. Drawn and shrunk by `proptest`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Longest part that an edit copies or removes, in bytes.
const LONGEST_PART: usize = 256;

/// Longest input.
const LONGEST_INPUT: usize = 1 << 20;

/// Numbers that programs forget: 0, 1, the ends of every width and sign, and what overflows when it is multiplied.
const EXTREMES: [u64; 20] = [
    0,
    1,
    2,
    7,
    0x7f,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    1 << 24,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    (1 << 53) + 1,
    u64::MAX / 13,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Numbers as text.
const DECIMALS: [&str; 18] = [
    "0",
    "1",
    "-1",
    "3",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1e308",
    "-1e999",
    "1e-400",
    "0.5",
    "null",
    "\"7\"",
];

/// Text that means something to one of the formats.
const WORDS: [&str; 30] = [
    "\0",
    "\u{feff}",
    "\r\n",
    "\n\n\n",
    "é",
    "日",
    "🦀",
    "\u{202e}",
    "<s>",
    "<|endoftext|>",
    "▁",
    "   ",
    "\"",
    "\\",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[",
    ",",
    ":",
    "=",
    "{{",
    "}}",
    "{% for x in range(99999) %}",
    "{% endfor %}",
    "NaN",
    "../",
    "true",
];

/// One change of a file.
#[derive(Clone, Debug)]
pub enum Edit {
    /// One bit the other way.
    Flip { at: Index, bit: u8 },
    /// One byte.
    Byte { at: Index, byte: u8 },
    /// A number of 1, 2, 4 or 8 bytes, little or big end first, where a small number stands already if there is one: as
    /// lengths, counts and offsets do.
    Number { at: Index, bytes: u32, value: u64, big_endian: bool },
    /// The next decimal number.
    Decimal { at: Index, text: &'static str },
    /// A word of some format.
    Word { at: Index, text: &'static str },
    /// The rest is missing.
    Truncate { at: Index },
    /// A part is missing.
    Remove { at: Index, length: usize },
    /// A part comes again, somewhere, several times.
    Repeat { from: Index, to: Index, length: usize, times: usize },
    /// A part of another valid file of the kind, put in or over what is there.
    Splice { file: Index, from: Index, to: Index, length: usize, over: bool },
    /// Bytes without meaning at the end.
    Append { bytes: Vec<u8> },
}

/// A valid file and what is done to it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file.
    pub file: Index,
    /// In this order.
    pub edits: Vec<Edit>,
}

/// All plans; few edits are likelier than many.
pub fn plans() -> impl Strategy<Value = Plan> {
    let edits = prop_oneof![6 => vec(edit(), 1..3), 3 => vec(edit(), 2..6), 1 => vec(edit(), 4..16)];
    (any::<Index>(), edits).prop_map(|(file, edits)| Plan { file, edits })
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let part = || 1..LONGEST_PART;
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip { at, bit }),
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte { at, byte }),
        5 => (at(), 0..4_u32, value(), any::<bool>())
            .prop_map(|(at, width, value, big_endian)| Edit::Number { at, bytes: 1 << width, value, big_endian }),
        4 => (at(), 0..DECIMALS.len()).prop_map(|(at, which)| Edit::Decimal { at, text: DECIMALS[which] }),
        3 => (at(), 0..WORDS.len()).prop_map(|(at, which)| Edit::Word { at, text: WORDS[which] }),
        1 => at().prop_map(|at| Edit::Truncate { at }),
        2 => (at(), part()).prop_map(|(at, length)| Edit::Remove { at, length }),
        2 => (at(), at(), part(), 1..20_usize)
            .prop_map(|(from, to, length, times)| Edit::Repeat { from, to, length, times }),
        2 => (at(), at(), at(), part(), any::<bool>())
            .prop_map(|(file, from, to, length, over)| Edit::Splice { file, from, to, length, over }),
        1 => vec(any::<u8>(), 1..32).prop_map(|bytes| Edit::Append { bytes }),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (0..EXTREMES.len()).prop_map(|which| EXTREMES[which]),
        1 => (0..EXTREMES.len(), 0..4_u64).prop_map(|(which, less)| EXTREMES[which].wrapping_sub(less)),
        1 => 0..512_u64,
    ]
}

impl Plan {
    /// The broken file.
    pub fn apply(&self, files: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.file.get(files).clone();
        for edit in &self.edits {
            edit.apply(&mut bytes, files);
            bytes.truncate(LONGEST_INPUT);
        }
        bytes
    }
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, files: &[Vec<u8>]) {
        // Any place, the end too; edits of what is there do nothing to an empty file.
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        let end = |from: usize, length: usize, bytes: &[u8]| (from + length).min(bytes.len());
        match self {
            Self::Flip { at, bit } => {
                let at = place(at, bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1_u8 << *bit;
                }
            }
            Self::Byte { at, byte } => {
                let at = place(at, bytes);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Self::Number { at, bytes: width, value, big_endian } => {
                let width = *width as usize;
                let at = next_number(bytes, place(at, bytes), width);
                let number = if *big_endian {
                    &value.to_be_bytes()[8 - width..]
                } else {
                    &value.to_le_bytes()[..width]
                };
                for (old, new) in bytes.iter_mut().skip(at).zip(number) {
                    *old = *new;
                }
            }
            Self::Decimal { at, text } => {
                let at = place(at, bytes);
                let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit).map(|from| at + from) else {
                    return;
                };
                let part = |byte: &u8| byte.is_ascii_digit() || b".eE+-".contains(byte);
                let length = bytes[from..].iter().take_while(|byte| part(byte)).count();
                bytes.splice(from..from + length, text.bytes());
            }
            Self::Word { at, text } => {
                let at = place(at, bytes);
                bytes.splice(at..at, text.bytes());
            }
            Self::Truncate { at } => {
                let at = place(at, bytes);
                bytes.truncate(at);
            }
            Self::Remove { at, length } => {
                let at = place(at, bytes);
                let end = end(at, *length, bytes);
                bytes.drain(at..end);
            }
            Self::Repeat { from, to, length, times } => {
                let from = place(from, bytes);
                let part = bytes[from..end(from, *length, bytes)].repeat(*times);
                let to = place(to, bytes);
                bytes.splice(to..to, part);
            }
            Self::Splice { file, from, to, length, over } => {
                let other = file.get(files);
                let from = place(from, other);
                let part = &other[from..end(from, *length, other)];
                let to = place(to, bytes);
                let replaced = if *over { end(to, part.len(), bytes) } else { to };
                bytes.splice(to..replaced, part.iter().copied());
            }
            Self::Append { bytes: more } => bytes.extend(more),
        }
    }
}

/// Where the next number of `width` bytes stands that is neither 0 nor large, as lengths are; `from` if none comes soon.
fn next_number(bytes: &[u8], from: usize, width: usize) -> usize {
    let small = |window: &[u8]| window[0] != 0 && window[1..].iter().skip(1).all(|&byte| byte == 0);
    let soon = bytes.get(from..).unwrap_or_default();
    let soon = &soon[..soon.len().min(64)];
    soon.windows(width.max(1))
        .position(|window| window.len() > 1 && small(window))
        .map_or(from, |at| from + at)
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn plans_change_files_and_never_fail() {
        let files = [b"{\"a\": 12, \"b\": [1, 2]}".to_vec(), vec![4, 0, 0, 0, 0, 0, 0, 0, 9, 9], Vec::new()];
        let mut runner = TestRunner::deterministic();
        let strategy = plans();
        let (mut changed, count) = (0, 5000);
        for _ in 0..count {
            let plan = strategy.new_tree(&mut runner).expect("a plan").current();
            changed += usize::from(plan.apply(&files) != *plan.file.get(&files));
        }
        assert!(changed > count / 2, "{changed} of {count}");
    }

    #[test]
    fn numbers_are_looked_for_where_lengths_stand() {
        let bytes = [b'a', b'b', 0xff, 0xff, 5, 1, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(next_number(&bytes, 0, 8), 4);
        assert_eq!(next_number(&bytes, 5, 8), 5);
        assert_eq!(next_number(&[1, 2, 3], 1, 8), 1);
        assert_eq!(next_number(&[], 0, 4), 0);
    }
}
