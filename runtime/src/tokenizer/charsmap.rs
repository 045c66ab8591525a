//! SentencePiece's table of replacements (`precompiled_charsmap`): a trie of byte strings, and what they become.
//!
//! The trie is a double array of 32-bit units (Aoe 1989, as the library Darts-clone packs it): from unit `u` at place `p` a byte `b` leads to
//! the place `p ^ offset(u) ^ b`, whose unit has `b` as its label; where a string ends, the unit at `p ^ offset(u)` has its value, the place
//! of the replacement in a list of texts, each with a 0 behind it.

use crate::digest::Hasher;

/// The unit after whose place a string may end.
const HAS_VALUE: u32 = 1 << 8;
/// A unit with a value in place of a label.
const IS_VALUE: u32 = 1 << 31;

/// Bytes of the longest string, at most; what trainers write has a few characters.
const LONGEST: usize = 1024;

/// The table.
pub(super) struct CharsMap {
    units: Vec<u32>,
    replacements: String,
}

impl CharsMap {
    /// Reads the table: the bytes of the trie as a number, the trie, the replacements.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or("the length of a trie is missing")?;
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || !length.is_multiple_of(4) || length > rest.len() {
            return Err(format!("a trie of {length} bytes, in {} of them", rest.len()));
        }
        let (trie, replacements) = rest.split_at(length);
        let units = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        let replacements =
            std::str::from_utf8(replacements).map_err(|e| format!("replacements that are no UTF-8: {e}"))?;
        if !replacements.is_empty() && !replacements.ends_with('\0') {
            return Err("replacements without an end".to_owned());
        }
        Ok(Self { units, replacements: replacements.to_owned() })
    }

    /// Bytes of the longest string of the table that `text` begins with, and what takes its place.
    ///
    /// # Errors
    /// A table that names a replacement which it does not have.
    pub fn longest(&self, text: &str) -> Result<Option<(usize, &str)>, String> {
        let mut found = None;
        let mut place = offset(self.units[0]);
        for (at, &byte) in text.as_bytes().iter().take(LONGEST).enumerate() {
            place ^= usize::from(byte);
            let Some(&unit) = self.units.get(place) else { break };
            if unit & (IS_VALUE | 0xff) != u32::from(byte) {
                break;
            }
            place ^= offset(unit);
            if unit & HAS_VALUE != 0 {
                found = Some((at + 1, place));
            }
        }
        let Some((length, place)) = found else { return Ok(None) };
        let broken = || format!("its table of replacements has none for {:?}", &text.as_bytes()[..length]);
        let value = self.units.get(place).ok_or_else(broken)? & !IS_VALUE;
        let replacement = self.replacements.get(value as usize..).and_then(|rest| rest.split('\0').next());
        // A string that ends within a character is none of a text.
        let whole = text.is_char_boundary(length);
        replacement.filter(|_| whole).map(|replacement| Some((length, replacement))).ok_or_else(broken)
    }

    /// Refuses a table that some text leads out of: to a place behind its end, or to a replacement which it does not have. Every
    /// place that can be reached is looked at once.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check_every_text(&self) -> Result<(), String> {
        let mut seen = vec![false; self.units.len()];
        let mut open = vec![offset(self.units[0])];
        while let Some(place) = open.pop() {
            // The places of all bytes that may follow.
            if place | 0xff >= self.units.len() {
                return Err(format!("a trie of {} units that leads to {}", self.units.len(), place | 0xff));
            }
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            for byte in 1..=0xff_u8 {
                let next = place ^ usize::from(byte);
                let unit = self.units[next];
                if unit & (IS_VALUE | 0xff) != u32::from(byte) {
                    continue;
                }
                let next = next ^ offset(unit);
                if unit & HAS_VALUE != 0 {
                    let value = self.units.get(next).map(|unit| (unit & !IS_VALUE) as usize);
                    if value.is_none_or(|value| self.replacements.get(value..).is_none()) {
                        return Err(format!(
                            "a trie that names a replacement which it does not have, at {next}"
                        ));
                    }
                }
                open.push(next);
            }
        }
        Ok(())
    }

    /// Adds everything that decides about a text.
    pub fn update(&self, hasher: &mut Hasher) {
        self.units.iter().for_each(|unit| hasher.update(&unit.to_le_bytes()));
        hasher.update(self.replacements.as_bytes());
    }
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` becomes `b`: the root at 0 leads to 1 ^ 'a', whose value lies at 256 places from there.
    fn one_rule() -> Vec<u8> {
        let mut units = vec![0u32; 512];
        let (first, value) = (1usize ^ usize::from(b'a'), 300usize);
        units[0] = 1 << 10;
        units[first] = (((first ^ value) as u32) << 10) | HAS_VALUE | u32::from(b'a');
        units[value] = IS_VALUE;
        let trie: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        [&(trie.len() as u32).to_le_bytes()[..], &trie, b"b\0"].concat()
    }

    #[test]
    fn a_rule_is_found_and_nothing_else() {
        let map = CharsMap::read(&one_rule()).expect("a table");
        assert_eq!(map.longest("ab"), Ok(Some((1, "b"))));
        for other in ["", "b", "\0", "é"] {
            assert_eq!(map.longest(other), Ok(None), "{other:?}");
        }
    }

    #[test]
    fn broken_tables_are_refused() {
        let whole = one_rule();
        for length in [0, 3, 4, 5, 2051, whole.len() - 1] {
            assert!(CharsMap::read(&whole[..length]).is_err(), "{length}");
        }
        for (at, byte) in [(0, 1), (3, 255)] {
            let mut changed = whole.clone();
            changed[at] = byte;
            assert!(CharsMap::read(&changed).is_err(), "{at}");
        }
        let mut latin = whole.clone();
        *latin.iter_mut().rev().nth(1).expect("it") = 0xe9;
        assert!(CharsMap::read(&latin).is_err());
        // A value behind the replacements.
        let mut lost = whole;
        lost[4 + 4 * 300] = 9;
        let lost = CharsMap::read(&lost).expect("a table");
        assert!(lost.longest("a").is_err());
        assert!(lost.check_every_text().is_err_and(|words| words.contains("at 300")));
        // A trie that ends before a place that texts lead to.
        let mut short = one_rule();
        short.truncate(4 + 4 * 510);
        short[..4].copy_from_slice(&(4_u32 * 510).to_le_bytes());
        let short = CharsMap::read(&short).expect("a table");
        assert!(short.check_every_text().is_err_and(|words| words.contains("leads to 511")));
        assert_eq!(CharsMap::read(&one_rule()).expect("a table").check_every_text(), Ok(()));
    }
}
