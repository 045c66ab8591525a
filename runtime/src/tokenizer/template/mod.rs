//! Chat templates: the Jinja text that came with a model, which turns messages into one prompt.

mod namespaces;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::strtime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value as Given};
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::huggingface::special_text;
use crate::digest;
use crate::error::{Error, Result};
use crate::formats::folder::{TEMPLATE_FILE, TOKENIZER_CONFIG_FILE};
use crate::formats::gguf::Metadata;
use crate::formats::json::Json;
use crate::formats::mapped;

/// Widest `indent` of the filter `tojson`.
const WIDEST_INDENT: i128 = 16;

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
    source: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// The template of a GGUF file, if it has one.
    pub fn from_gguf(metadata: &Metadata) -> Result<Option<Self>> {
        let Some(source) = metadata.text("tokenizer.chat_template")? else { return Ok(None) };
        let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
        let text = |key: &str| -> Result<String> {
            let id = metadata.token(key)?.and_then(|id| usize::try_from(id).ok());
            Ok(id.and_then(|id| tokens.get(id).copied()).unwrap_or_default().to_owned())
        };
        Ok(Some(Self {
            path: metadata.path().to_owned(),
            source: source.to_owned(),
            bos: text("tokenizer.ggml.bos_token_id")?,
            eos: text("tokenizer.ggml.eos_token_id")?,
        }))
    }

    /// The template of a Hugging Face folder, if it has one: `chat_template.jinja`, or `chat_template` of
    /// `tokenizer_config.json` (of several, the one named `default`).
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        let config_path = folder.join(TOKENIZER_CONFIG_FILE);
        let config = if mapped::exists(&config_path) { Some(Json::read(&config_path)?) } else { None };
        let special = |key: &str| config.as_ref().and_then(|config| special_text(config.value(key)?));
        let path = folder.join(TEMPLATE_FILE);
        let (path, source) = match mapped::read_small_if_present(&path)? {
            Some(source) => (path, source),
            None => match config.as_ref().and_then(|config| config.value("chat_template")) {
                None => return Ok(None),
                Some(Value::String(source)) => (config_path, source.clone()),
                Some(Value::Array(list)) => {
                    let default = list.iter().find(|entry| entry["name"] == "default");
                    match default.and_then(|entry| entry["template"].as_str()) {
                        Some(source) => (config_path, source.to_owned()),
                        None => return Ok(None),
                    }
                }
                Some(_) => {
                    return Err(Error::malformed(
                        config_path,
                        "chat_template",
                        "a string or a list",
                        "neither",
                    ));
                }
            },
        };
        let (bos, eos) = (special("bos_token").unwrap_or_default(), special("eos_token").unwrap_or_default());
        Ok(Some(Self { path, source, bos, eos }))
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 of the template and of the special tokens that it is given.
    pub fn sha256(&self) -> String {
        let Self { path: _, source, bos, eos } = self;
        let lengths = format!("{} {} {}\n", source.len(), bos.len(), eos.len());
        digest::sha256(
            [lengths.as_bytes(), source.as_bytes(), bos.as_bytes(), eos.as_bytes()].concat().as_slice(),
        )
    }

    /// The prompt for `messages`; with `add_generation_prompt`, up to where the model's answer begins. To be encoded
    /// with [`Tokenizer::encode_without_bos`](super::Tokenizer::encode_without_bos).
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        if let Some(held) = namespaces::held_namespace(&self.source) {
            let expected = "one that uses its namespaces by their attributes only";
            return Err(Error::malformed(&self.path, "chat template", expected, held));
        }
        std::thread::scope(|scope| {
            let render = || self.render_here(messages, add_generation_prompt);
            let thread = std::thread::Builder::new().name("chat template".into()).stack_size(STACK);
            let thread = thread.spawn_scoped(scope, render).map_err(Error::io(&self.path))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn render_here(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| Error::unsupported("chat templates", describe(&e)))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        // The engine's own takes any width, and fills the memory with spaces.
        environment.add_filter("tojson", to_json);
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
        let turn = |m: &ChatMessage| context! { role => m.role.as_str(), content => m.content.as_str() };
        let values = context! {
            messages => messages.iter().map(turn).collect::<Vec<_>>(),
            add_generation_prompt => add_generation_prompt,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
        };
        environment.render_str(&self.source, values).map_err(|e| {
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

/// The filter `tojson`, whose `indent` is at most [`WIDEST_INDENT`].
fn to_json(
    value: &Given,
    indent: Option<Given>,
    arguments: Kwargs,
) -> std::result::Result<Given, minijinja::Error> {
    let asked = match &indent {
        Some(indent) => Some(indent.clone()),
        None => arguments.get("indent")?,
    };
    let width = asked.and_then(|indent| i128::try_from(indent).ok());
    if width.is_some_and(|width| width > WIDEST_INDENT) {
        let reason = format!("tojson: an indent of at most {WIDEST_INDENT}");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, reason));
    }
    minijinja::filters::tojson(value, indent, arguments)
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
        ChatTemplate { path: "model".into(), source: source.into(), bos: "<s>".into(), eos: "</s>".into() }
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
        let wide = "{{ messages | tojson(4294967296) }}";
        assert!(template(wide).render(&[], false).is_err());
        assert_eq!(template("{{ 'a' | tojson(indent=2) }}").render(&[], false).expect("renders"), "\"a\"");
        let deep = "{% set ns = namespace(x=1) %}{% for a in range(300) %}{% for b in range(300) %}\
                    {% set ns.x = [ns.x] %}{% endfor %}{% endfor %}{{ ns.x }}{{ ns.x == [ns.x] }}";
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
