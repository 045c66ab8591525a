//! Conversations from a file: a JSON list of `{"role": …, "content": …}`.

use std::path::Path;

use serde_json::Value;

use super::ChatMessage;
use crate::error::{Error, Result};
use crate::formats::mapped;

impl ChatMessage {
    /// The messages in the file at `path`, a JSON list of objects with `role` and `content`, both texts.
    ///
    /// # Errors
    /// Anything else, by file, message and field: templates would pass over it in silence.
    pub fn read_all(path: &Path) -> Result<Vec<Self>> {
        let text = mapped::read_small(path)?;
        let expected = "a JSON list of messages";
        let list: Value =
            serde_json::from_str(&text).map_err(|e| Error::malformed(path, "file", expected, e))?;
        let list = list.as_array().ok_or_else(|| Error::malformed(path, "file", expected, shown(&list)))?;
        if list.is_empty() {
            return Err(Error::malformed(path, "file", "at least one message", "an empty list"));
        }
        list.iter().enumerate().map(|(at, value)| message(path, at, value)).collect()
    }
}

fn message(path: &Path, at: usize, value: &Value) -> Result<ChatMessage> {
    let bad = |field: &str, expected: &str, got: &str| {
        Err(Error::malformed(path, format!("messages[{at}]{field}"), expected, got))
    };
    let Value::Object(map) = value else {
        return bad("", "an object with `role` and `content`", &shown(value));
    };
    if let Some(key) = map.keys().find(|key| !["role", "content"].contains(&key.as_str())) {
        return bad("", "`role` and `content` alone", &format!("`{key}`"));
    }
    let text = |key: &str| match map.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(shown(other)),
        None => Err("no such field".to_owned()),
    };
    match (text("role"), text("content")) {
        (Ok(role), _) if role.is_empty() => bad(".role", "`system`, `user`, `assistant` or the like", "\"\""),
        (Ok(role), Ok(content)) => Ok(ChatMessage { role, content }),
        (Err(got), _) => bad(".role", "a text", &got),
        (_, Err(got)) => bad(".content", "a text", &got),
    }
}

/// The beginning of a value, for errors.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lists_of_roles_and_contents() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chat.json");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            ChatMessage::read_all(&path)
        };
        let two = r#"[{"role": "system", "content": "é"}, {"content": "", "role": "user"}]"#;
        let expected = [ChatMessage::new("system", "é"), ChatMessage::new("user", "")];
        assert_eq!(read(two).expect("read"), expected);
        for (text, part) in [
            ("", "file: expected a JSON list of messages"),
            ("{}", "got {}"),
            ("[]", "at least one message"),
            ("[5]", "messages[0]: expected an object with `role` and `content`, got 5"),
            (r#"[{"role": "user"}]"#, "messages[0].content: expected a text, got no such field"),
            (r#"[{"role": "", "content": "a"}]"#, "messages[0].role"),
            (r#"[{"role": 1, "content": "a"}]"#, "messages[0].role: expected a text, got 1"),
            (r#"[{"role": "user", "content": ["a"]}]"#, r#"messages[0].content: expected a text, got ["a"]"#),
            (
                r#"[{"role": "a", "content": "b"}, {"role": "a", "content": "b", "name": "c"}]"#,
                "messages[1]: expected `role` and `content` alone, got `name`",
            ),
        ] {
            let refused = read(text).expect_err("refused").to_string();
            assert!(refused.contains("chat.json") && refused.contains(part), "{refused}");
        }
    }
}
