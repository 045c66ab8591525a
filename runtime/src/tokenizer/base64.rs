//! Base64 (RFC 4648, section 4), strictly: as one text alone stands for some bytes.

/// The bytes that `text` stands for; `None` where it is none of base64 with its padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in body.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for at in 0..4 {
            bits = bits << 6 | group.get(at).map_or(Some(0), |&digit| value(digit))?;
        }
        let [_, whole @ ..] = bits.to_be_bytes();
        let count = group.len() * 6 / 8;
        // Bits behind the last byte stand for nothing.
        if whole[count..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend(&whole[..count]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let (first, before) = match digit {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(u32::from(digit - first) + before)
}

#[cfg(test)]
mod tests {
    use super::decode;

    /// RFC 4648, section 10.
    #[test]
    fn texts_are_bytes_and_others_are_none() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("+/8A").as_deref(), Some(&[0xfb, 0xff, 0x00][..]));
        for bad in [
            "Z",
            "Zg",
            "Zg=",
            "Zh==",
            "Zm9=",
            "Zm9v=",
            "====",
            "Z===",
            "Zm9v Yg==",
            "Zm-v",
            "=Zm9",
            "é===",
            "Zg==Zg==",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
