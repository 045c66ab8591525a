//! GPT-2's alphabet: every byte is written as one visible character.

/// The byte behind a character of the alphabet.
///
/// Printable Latin-1 stands for itself; the other 68 bytes, in order, are U+0100, U+0101, ….
fn byte_of(c: char) -> Option<u8> {
    let stands_for_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(c) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|&byte| stands_for_itself(byte)),
        code => (0..=0xff_u8).filter(|&byte| !stands_for_itself(byte)).nth((code - 0x100) as usize),
    }
}

/// The text that a token of a byte-level vocabulary stands for; bytes that are no UTF-8 by themselves are written as
/// `<0xE2>`. `None` if the token has characters outside the alphabet.
pub(super) fn text_of_token(token: &str) -> Option<String> {
    let bytes: Vec<u8> = token.chars().map(byte_of).collect::<Option<_>>()?;
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("<0x{byte:02X}>"));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_that_of_the_tokenizers_crate() {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let mut bytes: Vec<u8> = alphabet.iter().map(|&c| byte_of(c).expect("in the alphabet")).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(text_of_token("Ġhello").as_deref(), Some(" hello"));
        assert_eq!(text_of_token("Ċ").as_deref(), Some("\n"));
        assert_eq!(text_of_token("Ã©").as_deref(), Some("é"));
        assert_eq!(text_of_token("âĢ").as_deref(), Some("<0xE2><0x80>"));
        assert_eq!(text_of_token("日本"), None);
    }
}
