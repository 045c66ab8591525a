//! A run as the command that gives the same numbers.

use lm_infinite::diagnose::Diagnosis;
use lm_infinite::text::EMBEDDED_TEXT_NAME;

use crate::settings::Settings;

/// The words of the command, the program's name first. Of a run that is not over it is that of the whole.
///
/// # Errors
/// In words, where no command reads the same: a text that was pasted has no file.
pub fn words(settings: &Settings, diagnosis: &Diagnosis) -> Result<Vec<String>, String> {
    if settings.pasted.is_some() {
        return Err("The text was pasted: no command can read it before it is saved as a file.".to_owned());
    }
    let policies = diagnosis.runs.iter().map(|run| run.policy.as_str());
    Ok(of(settings, policies, diagnosis.tokens))
}

/// The words of the command that reads so many tokens under these policies.
pub fn of<'a>(settings: &Settings, policies: impl Iterator<Item = &'a str>, tokens: u64) -> Vec<String> {
    let mut words = vec!["lm-infinite".to_owned(), "diagnose".to_owned()];
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    option("--model", &settings.model);
    settings.ignored_fields().iter().for_each(|field| option("--ignore-field", field));
    if settings.text_name() != EMBEDDED_TEXT_NAME {
        option("--text", settings.text_name());
    }
    policies.for_each(|policy| option("--policy", policy));
    option("--tokens", &tokens.to_string());
    if settings.repeat {
        words.push("--repeat".to_owned());
    }
    words
}

/// One line for a shell (POSIX): words with letters that it would take for something else are quoted.
pub fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        let words = ["a", "", "my text.txt", "it's", "lm-infinite:start=10,window=256", "$HOME"];
        let line = line(&words.map(str::to_owned));
        assert_eq!(line, "a '' 'my text.txt' 'it'\\''s' lm-infinite:start=10,window=256 '$HOME'");
    }
}
