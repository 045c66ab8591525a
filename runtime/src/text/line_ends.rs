//! Line ends of other systems: `\r\n` is read as `\n`, as programs that read texts have it.

/// The state between two parts of a file.
#[derive(Debug, Default)]
pub(super) struct LineEnds {
    /// A `\r` ended the last part, and waits for what comes behind it.
    held: bool,
    /// Some were changed.
    pub changed: bool,
}

impl LineEnds {
    /// Changes the line ends of the next part. A `\r` at its end is kept back, and lost where nothing comes behind it.
    pub fn push(&mut self, text: &mut String) {
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.held) {
            text.insert(0, '\r');
        }
        if text.contains("\r\n") {
            self.changed = true;
            *text = text.replace("\r\n", "\n");
        }
        if text.ends_with('\r') {
            text.pop();
            self.held = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_changed_however_a_text_is_cut() {
        let text = "one\r\ntwo\rthree\r\n\r\n\r\nfour\n\r\r\nfive\r\n";
        let want = text.replace("\r\n", "\n");
        for cut in 1..text.len() {
            let mut ends = LineEnds::default();
            let parts = text.as_bytes().chunks(cut).map(|part| {
                let mut part = String::from_utf8(part.to_vec()).expect("ASCII");
                ends.push(&mut part);
                part
            });
            assert_eq!(parts.collect::<String>(), want, "{cut}");
            assert!(ends.changed);
        }
        let mut ends = LineEnds::default();
        let mut plain = "a\rb\nc".to_owned();
        ends.push(&mut plain);
        assert_eq!((plain.as_str(), ends.changed), ("a\rb\nc", false));
    }
}
