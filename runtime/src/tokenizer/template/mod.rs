//! Chat templates: the Jinja text that came with a model, which turns messages into one prompt, as transformers'
//! `apply_chat_template` does.

mod blocks;
mod dialect;
mod json;
mod messages;
mod namespaces;
mod python;
mod source;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::strtime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as Given;
use minijinja::{AutoEscape, Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};

use super::side_files::SpecialTexts;
use crate::digest;
use crate::error::{Error, Result};
use crate::note::Note;

/// Steps that a template may take: enough for ten thousand messages, and an end for those without one.
const FUEL: u64 = 1_000_000;

/// Bytes of stack for a template: enough to print and to drop the deepest list that [`FUEL`] can build.
const STACK: usize = 1 << 30;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl ChatMessage {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// The chat template of one model.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    path: PathBuf,
    /// The text, or why there is none that could be taken.
    source: std::result::Result<String, String>,
    special: SpecialTexts,
    notes: Vec<Note>,
}

impl ChatTemplate {
    /// The template's text; empty where there are several and none of them is the default.
    pub fn source(&self) -> &str {
        self.source.as_deref().unwrap_or_default()
    }

    /// What there is to say of where it was found and what it does.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// SHA-256 of the template and of the special tokens that it is given.
    pub fn sha256(&self) -> String {
        let Self { path: _, source, special, notes: _ } = self;
        digest::sha256(format!("{source:?}\n{special:?}").as_bytes())
    }

    /// The prompt for `messages`; with `add_generation_prompt`, up to where the model's answer begins. To be encoded
    /// with [`Tokenizer::encode_without_bos`](super::Tokenizer::encode_without_bos).
    ///
    /// The template is given what transformers gives it: the messages, `tools` and `documents` as none, and the special
    /// tokens by their names, as far as the model has them. `strftime_now` is the time in UTC.
    ///
    /// # Errors
    /// A template that refuses the messages, is none, does not end, or asks for what there is not; several templates none
    /// of which is called `default`.
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        let source = self.source.as_deref().map_err(|got| {
            Error::malformed(&self.path, "chat_template", "a template with the name `default`", got)
        })?;
        if let Some(held) = namespaces::held_namespace(source) {
            let expected = "one that uses its namespaces by their attributes only";
            return Err(Error::malformed(&self.path, "chat template", expected, held));
        }
        std::thread::scope(|scope| {
            let render = || self.render_here(source, messages, add_generation_prompt);
            let thread = std::thread::Builder::new().name("chat template".into()).stack_size(STACK);
            let thread = thread.spawn_scoped(scope, render).map_err(Error::io(&self.path))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn render_here(
        &self,
        source: &str,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| Error::unsupported("chat templates", describe(&e)))?);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        python::extend(&mut environment);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_function("strftime_now", |format: String| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            format_time(&format, now)
        });
        for (name, text) in &self.special.named {
            environment.add_global(name.clone(), text.as_str());
        }
        if !self.special.additional.is_empty() {
            let texts: Given = self.special.additional.iter().map(String::as_str).collect();
            environment.add_global("additional_special_tokens", texts);
        }
        // In the order of their names in the object, which `tojson` and loops show.
        let turn =
            |m: &ChatMessage| Given::from_pairs([("role", m.role.as_str()), ("content", m.content.as_str())]);
        let values = context! {
            messages => messages.iter().map(turn).collect::<Vec<_>>(),
            tools => (),
            documents => (),
            add_generation_prompt => add_generation_prompt,
        };
        environment.render_str(&dialect::translate(source), values).map_err(|e| {
            Error::malformed(&self.path, "chat template", "one that accepts these messages", describe(&e))
        })
    }
}

/// An error of the template engine with its causes.
fn describe(error: &minijinja::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// `strftime` in UTC; directives that it does not know are copied.
fn format_time(format: &str, unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    let Ok(now) = Timestamp::from_second(seconds) else { return String::new() };
    let lenient = strtime::Config::new().lenient(true);
    strtime::BrokenDownTime::from(now).to_string_with_config(&lenient, format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(source: &str) -> ChatTemplate {
        let named = [("bos_token", "<s>"), ("eos_token", "</s>")];
        let named = named.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let special = SpecialTexts { named, additional: Vec::new() };
        ChatTemplate { path: "model".into(), source: Ok(source.into()), special, notes: Vec::new() }
    }

    #[test]
    fn renders_turns_and_the_generation_prompt() {
        let template = template(
            "{{ bos_token }}{% for m in messages %}\n    {% if m['role'] == 'skip' %}{% continue %}{% endif %}\n\
             [{{ m.role }}]{{ m.content.strip() }}{{ eos_token }}{% endfor %}\
             {% if add_generation_prompt %}[assistant]{% endif %}",
        );
        let messages = [ChatMessage::new("user", " hi "), ChatMessage::new("skip", "x")];
        assert_eq!(template.render(&messages, true).expect("renders"), "<s>[user]hi</s>[assistant]");
        assert_eq!(template.render(&messages, false).expect("renders"), "<s>[user]hi</s>");
    }

    #[test]
    fn a_template_may_refuse_messages_and_must_end() {
        let refusing = template("{{ raise_exception('only user turns') }}").render(&[], false);
        assert!(refusing.expect_err("refused").to_string().contains("only user turns"));
        assert!(template("{% if %}").render(&[], false).is_err());
        let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}\
                       {% endfor %}{% endfor %}{% endfor %}";
        let wide = "{{ messages | tojson(indent=9007199254740993) }}";
        assert!(template(wide).render(&[], false).expect_err("refused").to_string().contains("at most 16"));
        let wide = "{{ messages | tojson(false, 4294967296) }}";
        assert!(template(wide).render(&[], false).is_err());
        assert_eq!(template("{{ 'a' | tojson(indent=2) }}").render(&[], false).expect("renders"), "\"a\"");
        let deep = "{% set ns = namespace(x=1) %}{% for a in range(300) %}{% for b in range(300) %}\
                    {% set ns.x = [ns.x] %}{% endfor %}{% endfor %}{{ ns.x }}{{ ns.x == [ns.x] }}";
        let written = template(&deep.replace("{{ ns.x }}", "{{ ns.x | tojson }}")).render(&[], false);
        assert!(written.expect_err("refused").to_string().contains("at most 1000 lists"));
        let wide = "{% set ns = namespace(x=['a']) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
        let shared = template(&format!("{wide}{{{{ ns.x | tojson }}}}")).render(&[], false);
        assert!(shared.expect_err("stopped").to_string().contains("fuel"));
        let printed = template(deep).render(&[], false).expect("a list of a list of a list");
        assert_eq!(printed.matches('[').count(), 90_000);
        let cyclic = "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns }}";
        let refused = template(cyclic).render(&[], false).expect_err("refused").to_string();
        assert!(refused.contains("by their attributes only, got . x = ns"), "{refused}");
        assert!(template(endless).render(&[], false).expect_err("stopped").to_string().contains("fuel"));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(format_time("%d %b %Y %A %H:%M:%S", 0), "01 Jan 1970 Thursday 00:00:00");
        assert_eq!(format_time("%Y-%m-%d %a", 951_782_400), "2000-02-29 Tue");
        assert_eq!(format_time("%d %B %y, 100%% %J", 1_735_689_599), "31 December 24, 100% %J");
    }
}
