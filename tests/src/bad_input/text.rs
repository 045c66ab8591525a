//! Texts of the user.

use lm_infinite::text::{read_from, read_text};

use super::folder;

#[test]
fn invalid_utf8_is_located() {
    let folder = folder();
    let path = folder.path().join("latin1.txt");
    std::fs::write(&path, b"caf\xe9 au lait").expect("written");
    let message = read_text(path.to_str().expect("UTF-8")).expect_err("refused").to_string();
    assert!(
        message.contains("latin1.txt") && message.contains("0xE9") && message.contains("offset 3"),
        "{message}"
    );
    let cut = "é".as_bytes()[..1].to_vec();
    assert!(
        read_from(std::io::Cursor::new(cut), "text").expect_err("refused").to_string().contains("offset 0")
    );
}

#[test]
fn empty_and_missing_texts() {
    assert!(read_from(&b""[..], "standard input").expect_err("refused").to_string().contains("empty"));
    let folder = folder();
    let missing = folder.path().join("missing.txt");
    assert!(
        read_text(missing.to_str().expect("UTF-8")).expect_err("refused").to_string().contains("missing.txt")
    );
    assert!(
        read_text(folder.path().to_str().expect("UTF-8"))
            .expect_err("refused")
            .to_string()
            .contains("folder")
    );
}

#[test]
fn text_is_read_as_it_is_but_for_a_byte_order_mark_and_line_ends_of_other_systems() {
    let read = |text: &'static str| read_from(text.as_bytes(), "text").expect("read");
    assert_eq!(read("\u{feff}a\u{feff}\r\n\r b\r\n"), "a\u{feff}\n\r b\n");
}
