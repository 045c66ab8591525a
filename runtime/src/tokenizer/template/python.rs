//! Filters, tests and methods of Jinja2 and Python, where the template engine has none or others.

use std::borrow::Cow;
use std::ops::Range;

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Environment, Error, State, context};

use super::dialect::PERCENT;
use super::json::{refuse, to_json};

/// Adds all of it.
pub(super) fn extend(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
    environment.add_filter("tojson", to_json);
    environment.add_filter(PERCENT, percent);
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", is_iterable);
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    environment.add_filter("center", |state: &State<'_, '_>, text: &str, width: Option<usize>| {
        padded(state, text, "center", width.unwrap_or(80), None)
    });
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    // The engine's own is the debugging form of Rust: better none, which is refused in words.
    environment.remove_filter("pprint");
}

/// The operator `%`: printf formatting of a string, or the remainder.
fn percent(state: &State<'_, '_>, left: &Value, right: &Value) -> Result<Value, Error> {
    let Some(pattern) = left.as_str() else {
        return state.env().compile_expression("a % b")?.eval(context! { a => left, b => right });
    };
    let is_map = right.kind() == ValueKind::Map;
    let mut values: Vec<Value> =
        if right.is_tuple() { right.try_iter()?.collect() } else { vec![right.clone()] };
    let fields = fields(pattern)?;
    // A width may ask for more bytes than there are in the world.
    if fields.iter().any(|field| field.widest > WIDEST) {
        return Err(refuse(format!("%: a width of at most {WIDEST}")));
    }
    if fields.iter().any(|field| field.takes > 1) && !is_map {
        return Err(refuse("%: a width of `*`"));
    }
    if fields.iter().any(|field| field.key.is_some()) && !is_map {
        return Err(refuse("%: a mapping for this format"));
    }
    let taken = fields.len();
    if !is_map && values.len() > taken {
        return Err(refuse(format!("%: {taken} values for this format, got {}", values.len())));
    }
    state.consume_fuel((pattern.len() / 64) as u64)?;
    let mut plain = pattern.to_owned();
    let mut keyed = Vec::new();
    // From the end, so that what is put in moves nothing that is still to be replaced.
    for (index, field) in fields.iter().enumerate().rev() {
        // The engine has no `%r` and `%a`: what they would write is written before, and put in as a string.
        let is_shown = matches!(pattern.get(field.at..field.at + 1), Some("r" | "a"));
        if is_shown {
            plain.replace_range(field.at..field.at + 1, "s");
        }
        let put_in =
            |value: &Value| if is_shown { Value::from(representation(value)) } else { value.clone() };
        if let Some(key) = &field.key {
            // It cannot read keys with other letters than those of ASCII.
            let name = format!("k{index}");
            keyed.push((name.clone(), put_in(&in_mapping(right, &pattern[key.clone()])?)));
            plain.replace_range(key.clone(), &name);
        } else if let Some(value) = values.get_mut(index) {
            *value = put_in(value);
        }
    }
    if !keyed.is_empty() {
        values = vec![Value::from(keyed.into_iter().collect::<Kwargs>())];
    }
    format(FormatStyle::Printf, &plain, &values).map(Value::from)
}

/// What the mapping has under the key of `%(key)s`.
fn in_mapping(map: &Value, key: &str) -> Result<Value, Error> {
    let value = map.get_item(&Value::from(key))?;
    if value.is_undefined() { Err(refuse(format!("%: the mapping has no key `{key}`"))) } else { Ok(value) }
}

/// `repr` of Python.
fn representation(value: &Value) -> String {
    let list = Value::from(vec![value.clone()]).to_string();
    list.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&list).to_owned()
}

/// Widest field of a format, in characters.
const WIDEST: u64 = 10_000;

/// A conversion of a format.
struct Field {
    /// Where its letter stands.
    at: usize,
    /// Largest number in it.
    widest: u64,
    /// Values that it takes.
    takes: usize,
    /// Where the key stands, of `%(key)s`.
    key: Option<Range<usize>>,
}

/// The conversions of a format that take values, or have a key.
fn fields(pattern: &str) -> Result<Vec<Field>, Error> {
    let bytes = pattern.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            at += 1;
            continue;
        }
        at += 1;
        let mut key = None;
        if bytes.get(at) == Some(&b'(') {
            let end = pattern[at..].find(')').ok_or_else(|| refuse("%: a key that ends"))?;
            key = Some(at + 1..at + end);
            at += end + 1;
        }
        let from = at;
        while at < bytes.len() && b"#0- +123456789.*hlL".contains(&bytes[at]) {
            at += 1;
        }
        let specification = &pattern[from..at];
        let letter = bytes.get(at).copied();
        if letter.is_some_and(|letter| !letter.is_ascii()) {
            return Err(refuse("%: a letter that says how a value is written"));
        }
        if key.is_some() || letter.is_some_and(|letter| letter != b'%') {
            let takes = 1 + specification.matches('*').count();
            found.push(Field { at, widest: widest(specification), takes, key });
        }
        at += 1;
    }
    Ok(found)
}

/// The largest number in a format.
fn widest(pattern: &str) -> u64 {
    let numbers = pattern.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().unwrap_or(u64::MAX)).max().unwrap_or(0)
}

/// Strings, mappings and everything with a length and numbered items are sequences in Jinja2, as in Python they have both.
fn is_sequence(value: &Value) -> bool {
    value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
}

fn is_iterable(value: &Value) -> bool {
    !value.is_none() && (value.kind() == ValueKind::String || value.try_iter().is_ok())
}

/// Methods of Python's strings, lists and mappings: those of `pycompat`, and some that it does not have.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let arguments = &*by_place(name, arguments)?;
    if let Some(text) = value.as_str() {
        if let Some(result) = string_method(state, text, name, arguments)? {
            return Ok(result);
        }
    } else if value.kind() == ValueKind::Seq && name == "index" {
        let (sought,): (&Value,) = from_args(arguments)?;
        let at = value.try_iter()?.position(|item| item == *sought);
        return at.map(Value::from).ok_or_else(|| refuse("index: the value is not in the list"));
    } else if name == "copy" && matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
        let () = from_args(arguments)?;
        return Ok(value.clone());
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

/// The arguments with those at their places that are given by name.
fn by_place<'a>(name: &str, arguments: &'a [Value]) -> Result<Cow<'a, [Value]>, Error> {
    let names: &[&str] = match name {
        "split" | "rsplit" => &["sep", "maxsplit"],
        "splitlines" => &["keepends"],
        "replace" => &["old", "new", "count"],
        _ => return Ok(arguments.into()),
    };
    let Some((named, placed)) = arguments.split_last().filter(|(last, _)| last.is_kwargs()) else {
        return Ok(arguments.into());
    };
    let named = Kwargs::try_from(named.clone())?;
    let mut all = placed.to_vec();
    for name in names.iter().skip(placed.len()) {
        all.push(named.get::<Option<Value>>(name)?.unwrap_or_else(|| Value::from(())));
    }
    named.assert_all_used()?;
    while all.last().is_some_and(Value::is_none) {
        all.pop();
    }
    Ok(all.into())
}

/// A method that `pycompat` does not have.
fn string_method(
    state: &State<'_, '_>,
    text: &str,
    name: &str,
    arguments: &[Value],
) -> Result<Option<Value>, Error> {
    let result = match name {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "partition" | "rpartition" => {
            let (mark,): (&str,) = from_args(arguments)?;
            if mark.is_empty() {
                return Err(refuse(format!("{name}: empty separator")));
            }
            let last = name == "rpartition";
            let split = if last { text.rsplit_once(mark) } else { text.split_once(mark) };
            let parts = match split {
                Some((left, right)) => [left, mark, right],
                None if last => ["", "", text],
                None => [text, "", ""],
            };
            minijinja::value::Tuple::from(parts.map(Value::from).to_vec()).into()
        }
        "rsplit" => rsplit(text, arguments)?,
        "index" | "rindex" => {
            let (sought,): (&str,) = from_args(arguments)?;
            let at = if name == "index" { text.find(sought) } else { text.rfind(sought) };
            let at = at.ok_or_else(|| refuse(format!("{name}: substring not found")))?;
            text[..at].chars().count().into()
        }
        "casefold" => text.to_lowercase().into(),
        "swapcase" => {
            let swap = |c: char| match c.is_uppercase() {
                true => c.to_lowercase().collect::<String>(),
                false => c.to_uppercase().collect(),
            };
            text.chars().map(swap).collect::<String>().into()
        }
        "isdecimal" => (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit())).into(),
        "ljust" | "rjust" | "center" | "zfill" => {
            let (width, fill): (usize, Option<&str>) = from_args(arguments)?;
            padded(state, text, name, width, fill)?.into()
        }
        _ => return Ok(None),
    };
    Ok(Some(result))
}

/// `text` in a field of a width.
fn padded(
    state: &State<'_, '_>,
    text: &str,
    name: &str,
    width: usize,
    fill: Option<&str>,
) -> Result<String, Error> {
    let fill = fill.unwrap_or(if name == "zfill" { "0" } else { " " });
    if fill.chars().count() != 1 {
        return Err(refuse(format!("{name}: the fill is one character")));
    }
    let length = text.chars().count();
    let missing = width.saturating_sub(length);
    // A character has at most 4 bytes, and 64 bytes cost one.
    state.consume_fuel((missing / 16) as u64)?;
    let (sign, digits) = match name {
        "zfill" if text.starts_with(['-', '+']) => text.split_at(1),
        _ => ("", text),
    };
    // Python puts the odd one on the left where the width is odd.
    let left = match name {
        "ljust" => 0,
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    Ok(format!("{sign}{}{digits}{}", fill.repeat(left), fill.repeat(missing - left)))
}

/// `str.rsplit`.
fn rsplit(text: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (mark, most): (Option<&str>, Option<i64>) = from_args(arguments)?;
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = text;
    match mark {
        Some("") => return Err(refuse("rsplit: empty separator")),
        Some(mark) => {
            while let Some((left, right)) = rest.rsplit_once(mark).filter(|_| parts.len() < most) {
                parts.push(right);
                rest = left;
            }
            parts.push(rest);
        }
        None => {
            rest = rest.trim_end();
            while !rest.is_empty() {
                let at = rest.rfind(char::is_whitespace).filter(|_| parts.len() < most);
                let right = at.map_or(rest, |at| rest[at..].trim_start());
                parts.push(right);
                rest = at.map_or("", |at| rest[..at].trim_end());
            }
        }
    }
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}
