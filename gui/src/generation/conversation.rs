//! A conversation with several policies at once: what the reader says is the same for all, what they answer is not.

use lm_infinite::tokenizer::ChatMessage;

/// What the reader said, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// What the reader said.
    pub said: String,
    /// The answer of every policy; empty while there is none.
    pub answers: Vec<String>,
}

/// Turns, the first one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// What it begins with, unless empty.
    pub system: String,
    /// The turns.
    pub turns: Vec<Turn>,
}

impl Conversation {
    /// The messages of one policy, as its template is given them.
    pub fn messages(&self, side: usize) -> Vec<ChatMessage> {
        let system = Some(&self.system).filter(|system| !system.trim().is_empty());
        let mut messages: Vec<_> =
            system.map(|system| ChatMessage::new("system", system)).into_iter().collect();
        for turn in &self.turns {
            messages.push(ChatMessage::new("user", &turn.said));
            messages.extend(turn.answers.get(side).map(|answer| ChatMessage::new("assistant", answer)));
        }
        messages
    }

    /// The last turn, while it has no answers.
    pub fn open(&mut self) -> Option<&mut Turn> {
        self.turns.last_mut().filter(|turn| turn.answers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_its_own_answers() {
        let turn = |said: &str, answers: &[&str]| Turn {
            said: said.into(),
            answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
        };
        let mut conversation = Conversation {
            system: "Be brief.".into(),
            turns: vec![turn("Who?", &["I", "You"]), turn("Why?", &[])],
        };
        let words = |conversation: &Conversation, side: usize| -> Vec<(String, String)> {
            conversation.messages(side).into_iter().map(|message| (message.role, message.content)).collect()
        };
        let pair = |role: &str, content: &str| (role.to_owned(), content.to_owned());
        let expected = |answer| {
            [
                pair("system", "Be brief."),
                pair("user", "Who?"),
                pair("assistant", answer),
                pair("user", "Why?"),
            ]
        };
        assert_eq!(words(&conversation, 0), expected("I"));
        assert_eq!(words(&conversation, 1), expected("You"));
        assert_eq!(conversation.open().map(|turn| turn.said.clone()).as_deref(), Some("Why?"));
        conversation.turns.pop();
        assert!(conversation.open().is_none());
        let without = Conversation { system: " ".into(), ..conversation };
        assert_eq!(words(&without, 0)[0], pair("user", "Who?"));
    }
}
