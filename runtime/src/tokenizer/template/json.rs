//! The filter `tojson` as Hugging Face's environment has it: Python's `json.dumps(value, ensure_ascii=False)`, which escapes
//! nothing for HTML and keeps the order of keys.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Widest `indent`, in characters.
const WIDEST_INDENT: i64 = 16;

/// Deepest value: Python's own limit on recursion is about 1000.
const DEEPEST: usize = 1000;

/// An operation that cannot be done.
pub(super) fn refuse(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// The filter.
pub(super) fn to_json(
    state: &State<'_, '_>,
    value: &Value,
    positional: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    if positional.len() > names.len() {
        return Err(refuse(format!("tojson: expected at most {}", names.join(", "))));
    }
    let mut given = [Value::from(false), Value::from(()), Value::from(()), Value::from(false)];
    for (at, name) in names.iter().enumerate() {
        match (positional.get(at), named.get::<Option<Value>>(name)?) {
            (Some(_), Some(_)) => return Err(refuse(format!("tojson: {name} is given twice"))),
            (Some(value), None) => given[at] = value.clone(),
            (None, Some(value)) => given[at] = value,
            (None, None) => {}
        }
    }
    named.assert_all_used()?;
    let [ascii, indent, separators, sorted] = given;
    let indent = indent_of(&indent)?;
    let (item, key) = match separators.is_none() {
        true => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        false => match separators.try_iter()?.collect::<Vec<_>>().as_slice() {
            [item, key] => (item.to_string(), key.to_string()),
            _ => return Err(refuse("tojson: separators are two strings")),
        },
    };
    let mut writer = Writer {
        state,
        out: String::new(),
        paid: 0,
        ascii: ascii.is_true(),
        indent,
        item,
        key,
        sorted: sorted.is_true(),
        depth: 0,
    };
    writer.value(value)?;
    Ok(Value::from(writer.out))
}

/// What lines are indented by, if there are lines.
fn indent_of(indent: &Value) -> Result<Option<String>, Error> {
    if indent.is_none() {
        return Ok(None);
    }
    if let Some(text) = indent.as_str() {
        return match text.len() <= WIDEST_INDENT as usize {
            true => Ok(Some(text.to_owned())),
            false => Err(refuse(format!("tojson: an indent of at most {WIDEST_INDENT}"))),
        };
    }
    match i64::try_from(indent.clone()) {
        // Below 0 is 0, as in Python.
        Ok(width) if width <= WIDEST_INDENT => Ok(Some(" ".repeat(usize::try_from(width).unwrap_or(0)))),
        _ => Err(refuse(format!("tojson: an indent of at most {WIDEST_INDENT}"))),
    }
}

struct Writer<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    out: String,
    /// Bytes that fuel was paid for.
    paid: usize,
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sorted: bool,
    depth: usize,
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        // What is held many times is written many times: it is paid for while it is written.
        let more = self.out.len().saturating_sub(self.paid) / 64;
        if more > 0 {
            self.state.consume_fuel(more as u64)?;
            self.paid = self.out.len();
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq => self.list(value)?,
            ValueKind::Map => self.map(value)?,
            other => {
                return Err(refuse(format!("tojson: a value of type {other} cannot be written as JSON")));
            }
        }
        Ok(())
    }

    fn list(&mut self, value: &Value) -> Result<(), Error> {
        self.open('[')?;
        let mut empty = true;
        for item in value.try_iter()? {
            self.separate(std::mem::take(&mut empty));
            self.value(&item)?;
        }
        self.close(']', empty);
        Ok(())
    }

    fn map(&mut self, value: &Value) -> Result<(), Error> {
        self.open('{')?;
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sorted {
            keys.sort();
        }
        let empty = keys.is_empty();
        for (at, key) in keys.into_iter().enumerate() {
            self.separate(at == 0);
            let name = match key.kind() {
                ValueKind::None => "null".to_owned(),
                ValueKind::Bool => if key.is_true() { "true" } else { "false" }.to_owned(),
                ValueKind::Number => number(&key),
                ValueKind::String => key.to_string(),
                other => {
                    return Err(refuse(format!("tojson: a key of type {other} cannot be written as JSON")));
                }
            };
            self.text(&name);
            self.out.push_str(&self.key);
            self.value(&value.get_item(&key)?)?;
        }
        self.close('}', empty);
        Ok(())
    }

    fn open(&mut self, bracket: char) -> Result<(), Error> {
        self.depth += 1;
        self.out.push(bracket);
        if self.depth > DEEPEST {
            return Err(refuse(format!("tojson: at most {DEEPEST} lists and mappings in each other")));
        }
        Ok(())
    }

    fn separate(&mut self, first: bool) {
        if !first {
            self.out.push_str(&self.item);
        }
        self.line();
    }

    fn close(&mut self, bracket: char, empty: bool) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.out.push(bracket);
    }

    fn line(&mut self) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            for _ in 0..self.depth {
                self.out.push_str(indent);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ascii && !c.is_ascii()) || (self.ascii && c == '\u{7f}') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a string does not fail.
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// A number as Python writes it.
fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => python_float(float),
        _ => value.to_string(),
    }
}

/// The shortest digits that read back as `float`; from 1e16 up and below 1e-4 with an exponent.
fn python_float(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match (-4..16).contains(&exponent) {
        true => format!("{float:?}"),
        false => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}
