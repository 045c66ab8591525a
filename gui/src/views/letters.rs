//! Letters whose bytes are tokens of their own: a vocabulary without a letter has its bytes, which the tokenizer writes as `<0xCE>`.

/// Tokens before and after one that may share a letter with it: a letter has at most four bytes (RFC 3629).
pub const NEIGHBOURS: usize = 3;

/// Stands where a letter goes on that a token before this one begins.
const GOES_ON: char = '‿';

/// What a token is of the text, letter by letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// The letters that begin in it; bytes that join to none stay as the tokenizer writes them.
    pub text: String,
    /// A letter that an earlier token begins ends in it, or goes on through it: its bytes here, from which byte on, and of how many.
    pub continued: Option<Continued>,
    /// The last letter goes on in the next token: how many of its bytes are here, and how many it has.
    pub open: Option<(char, usize, usize)>,
}

/// A part of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continued {
    /// The letter.
    pub letter: char,
    /// Its bytes that are in this token, from 0: the first and the one after the last.
    pub bytes: (usize, usize),
}

/// Whether a token's text has bytes that are no letter by themselves.
pub fn has_bytes(raw: &str) -> bool {
    raw.contains("<0x")
}

impl Letters {
    /// Of the token at `at` of these, as the tokenizer writes them; there are as many beside it as may share a letter with it.
    pub fn of(tokens: &[String], at: usize) -> Self {
        let (mut bytes, mut begins) = (Vec::new(), Vec::new());
        for token in tokens {
            begins.push(bytes.len());
            push_bytes(token, &mut bytes);
        }
        begins.push(bytes.len());
        let Some(&[from, to]) = begins.get(at..at + 2).and_then(|ends| <&[usize; 2]>::try_from(ends).ok())
        else {
            return Self::default();
        };
        let (mut letters, mut place) = (Self::default(), 0);
        for chunk in bytes.utf8_chunks() {
            for letter in chunk.valid().chars() {
                let (begin, length) = (place, letter.len_utf8());
                let end = begin + length;
                if begin < from && end > from {
                    let bytes = (from - begin, end.min(to) - begin);
                    letters.continued = Some(Continued { letter, bytes });
                } else if (from..to).contains(&begin) {
                    letters.text.push(letter);
                    letters.open = (end > to).then_some((letter, to - begin, length));
                }
                place = end;
            }
            for byte in chunk.invalid() {
                if (from..to).contains(&place) {
                    letters.text.push_str(&format!("<0x{byte:02X}>"));
                }
                place += 1;
            }
        }
        letters
    }

    /// The text, with a mark where a letter goes on.
    pub fn marked(&self) -> String {
        let mark = self.continued.map(|_| GOES_ON);
        mark.into_iter().chain(self.text.chars()).collect()
    }

    /// Which bytes of which letters it is, in words; nothing of a token of whole letters.
    pub fn bytes_words(&self) -> Option<String> {
        let mut bytes = [0; 4];
        let hex = |letter: char, from: usize, to: usize, buffer: &mut [u8; 4]| {
            let all = letter.encode_utf8(buffer).as_bytes();
            all[from..to].iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
        };
        let part = |letter: char, from: usize, to: usize, buffer: &mut [u8; 4]| {
            let (which, of) = (hex(letter, from, to, buffer), letter.len_utf8());
            let numbers =
                if to - from == 1 { format!("byte {to}") } else { format!("bytes {} to {to}", from + 1) };
            format!("{which}: {numbers} of {of} of {letter} (U+{:04X})", u32::from(letter))
        };
        let continued =
            self.continued.map(|Continued { letter, bytes: (from, to) }| part(letter, from, to, &mut bytes));
        let open = self.open.map(|(letter, here, _)| part(letter, 0, here, &mut bytes));
        let words: Vec<_> = continued.into_iter().chain(open).collect();
        match words.is_empty() {
            true if has_bytes(&self.text) => Some("bytes that join to no letter".to_owned()),
            true => None,
            false => Some(words.join("; ")),
        }
    }
}

/// The bytes of a token: `<0xCE>` is one.
fn push_bytes(token: &str, bytes: &mut Vec<u8>) {
    let mut rest = token;
    while let Some(at) = rest.find("<0x") {
        let digits = |code: &&str| code.bytes().all(|digit| digit.is_ascii_hexdigit());
        let code = rest.get(at + 3..at + 5).filter(digits).filter(|_| rest.get(at + 5..at + 6) == Some(">"));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.extend_from_slice(&rest.as_bytes()[..at]);
                bytes.push(byte);
                rest = &rest[at + 6..];
            }
            None => {
                bytes.extend_from_slice(&rest.as_bytes()[..at + 3]);
                rest = &rest[at + 3..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn shown(words: &[&str]) -> Vec<String> {
        let all = tokens(words);
        let one = |at: usize| {
            let from = at.saturating_sub(NEIGHBOURS);
            Letters::of(&all[from..all.len().min(at + NEIGHBOURS + 1)], at - from).marked()
        };
        (0..all.len()).map(one).collect()
    }

    #[test]
    fn bytes_join_to_letters_and_every_byte_is_told() {
        // Ω, 中, 🙂: two, three and four bytes.
        let omega = ["a", "<0xCE>", "<0xA9>", "b"];
        assert_eq!(shown(&omega), ["a", "Ω", "‿", "b"]);
        assert_eq!(shown(&["<0xE4>", "<0xB8>", "<0xAD>"]), ["中", "‿", "‿"]);
        assert_eq!(
            shown(&["<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "<0xC3>", "<0xA9>"]),
            ["🙂", "‿", "‿", "‿", "é", "‿"]
        );
        let all = tokens(&omega);
        let words = |at: usize| Letters::of(&all, at).bytes_words();
        assert_eq!(words(0), None);
        assert_eq!(words(1).as_deref(), Some("CE: byte 1 of 2 of Ω (U+03A9)"));
        assert_eq!(words(2).as_deref(), Some("A9: byte 2 of 2 of Ω (U+03A9)"));
        // A line end is a byte in some vocabularies.
        assert_eq!(shown(&["<0x0A>"]), ["\n"]);
    }

    #[test]
    fn tokens_of_several_bytes_share_letters_at_both_ends() {
        // ΩΩ as CE | A9 CE | A9, as vocabularies of bytes cut it.
        let words = ["<0xCE>", "<0xA9><0xCE>", "<0xA9>x"];
        assert_eq!(shown(&words), ["Ω", "‿Ω", "‿x"]);
        let middle = Letters::of(&tokens(&words), 1);
        assert_eq!(
            middle.bytes_words().as_deref(),
            Some("A9: byte 2 of 2 of Ω (U+03A9); CE: byte 1 of 2 of Ω (U+03A9)")
        );
        let middle = Letters::of(&tokens(&["<0xE4>", "<0xB8><0xAD>"]), 1);
        assert_eq!(middle.bytes_words().as_deref(), Some("B8 AD: bytes 2 to 3 of 3 of 中 (U+4E2D)"));
    }

    #[test]
    fn what_is_no_letter_stays_as_it_is_written() {
        assert_eq!(shown(&["<0xCE>", "a", "<0xA9>"]), ["<0xCE>", "a", "<0xA9>"]);
        assert_eq!(shown(&["<0xFF>", "<0xCE>"]), ["<0xFF>", "<0xCE>"]);
        assert_eq!(shown(&["<0xZZ>", "<0x", "<0x+1>", "<0x1"]), ["<0xZZ>", "<0x", "<0x+1>", "<0x1"]);
        let lost = Letters::of(&tokens(&["<0xFF>"]), 0);
        assert_eq!(lost.bytes_words().as_deref(), Some("bytes that join to no letter"));
        assert_eq!((Letters::of(&[], 0), Letters::of(&tokens(&["a"]), 3)), Default::default());
    }
}
