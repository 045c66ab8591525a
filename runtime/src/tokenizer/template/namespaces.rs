//! Refuses templates that could build a namespace which holds itself: printing it never ends, and takes the program with
//! it. Namespaces are the only values of Jinja that change, so no value holds itself where no namespace is held at all.

/// Where a namespace is used in another way than by its attributes (`ns.count`, `ns['count']`), by which alone chat
/// templates use them; the text around it.
pub(super) fn held_namespace(source: &str) -> Option<String> {
    let blocks: Vec<Vec<Word>> = blocks(source).into_iter().map(words).collect();
    let names: Vec<&str> = blocks.iter().filter_map(|block| constructed(block)).collect();
    for block in &blocks {
        let constructs = constructed(block).is_some();
        for (at, &word) in block.iter().enumerate() {
            let Word::Name(name) = word else { continue };
            let (before, after) = (at.checked_sub(1).map(|at| block[at]), block.get(at + 1).copied());
            if before == Some(Word::Sign('.')) {
                continue;
            }
            let fine = if name == "namespace" {
                constructs && at == 3
            } else if names.contains(&name) {
                let is_target = before == Some(Word::Name("set")) && after == Some(Word::Sign('='));
                let by_attribute = matches!(after, Some(Word::Sign('.' | '[') | Word::Name("is")));
                is_target || by_attribute
            } else {
                true
            };
            if !fine {
                let around = block.get(at.saturating_sub(3)..(at + 3).min(block.len())).unwrap_or_default();
                return Some(around.iter().map(Word::to_string).collect::<Vec<_>>().join(" "));
            }
        }
    }
    None
}

/// The name in a block that is `set name = namespace(…)` and nothing more.
fn constructed<'a>(block: &[Word<'a>]) -> Option<&'a str> {
    let [
        Word::Name("set"),
        Word::Name(name),
        Word::Sign('='),
        Word::Name("namespace"),
        Word::Sign('('),
        rest @ ..,
    ] = block
    else {
        return None;
    };
    let mut depth = 1_usize;
    for (at, word) in rest.iter().enumerate() {
        match word {
            Word::Sign('(' | '[' | '{') => depth += 1,
            Word::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (at + 1 == rest.len()).then_some(name);
        }
    }
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    Name(&'a str),
    Sign(char),
}

impl std::fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Sign(sign) => write!(f, "{sign}"),
        }
    }
}

/// The insides of `{% … %}` and `{{ … }}`, without comments and without the text between blocks.
fn blocks(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let open = &rest[at..];
        if let Some(comment) = open.strip_prefix("{#") {
            rest = comment.split_once("#}").map_or("", |(_, behind)| behind);
        } else if open.starts_with("{%") || open.starts_with("{{") {
            let end = if open.starts_with("{%") { "%}" } else { "}}" };
            let length = end_of_block(&open[2..], end);
            let block = &open[2..2 + length];
            rest = open.get(2 + length + end.len()..).unwrap_or_default();
            if words(block) == [Word::Name("raw")] {
                rest = rest.split_once("endraw").map_or("", |(_, behind)| behind);
            } else {
                found.push(block);
            }
        } else {
            rest = &open[1..];
        }
    }
    found
}

/// Bytes before `end` outside strings and brackets; all, if it does not come.
fn end_of_block(text: &str, end: &str) -> usize {
    let (mut at, mut brackets) = (0, 0_i64);
    while let Some(next) = text[at..].chars().next() {
        if brackets == 0 && text[at..].starts_with(end) {
            return at;
        }
        match next {
            '\'' | '"' => {
                at += string_length(&text[at..], next);
                continue;
            }
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets -= 1,
            _ => {}
        }
        at += next.len_utf8();
    }
    text.len()
}

/// Bytes of the string with which `text` begins, with its quotes.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return at + next.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Names and signs of a block, without strings, spaces and the `-` or `+` at its edges.
fn words(block: &str) -> Vec<Word<'_>> {
    let block = block.strip_prefix(['-', '+']).unwrap_or(block);
    let block = block.strip_suffix(['-', '+']).unwrap_or(block);
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(next) = block[at..].chars().next() {
        let is_part = |c: char| c == '_' || c.is_alphanumeric();
        if next == '\'' || next == '"' {
            at += string_length(&block[at..], next);
        } else if is_part(next) {
            let length = block[at..].find(|c| !is_part(c)).unwrap_or(block.len() - at);
            words.push(Word::Name(&block[at..at + length]));
            at += length;
        } else {
            if !next.is_whitespace() {
                words.push(Word::Sign(next));
            }
            at += next.len_utf8();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_what_templates_use() {
        for source in [
            "{%- set ns = namespace(found=false, text='') -%}{%- for m in messages | reverse -%}{%- set ns.text = ns.text ~ \
             m.content.split(' ')[0].upper() -%}{%- endfor -%}{{ ns.text[:5] }}{{ ns['found'] }}",
            "{% set ns = namespace(a=(1, 'x)', [2])) %}{% if ns is defined and message.namespace %}ns, namespace{% endif %}",
            "{# {% set a = namespace %} #}{{ '%} namespace ns' }}{{ {'a': {'b': 1}}.a.b }}",
            "{% set ns = namespace(is_first=true) %}{% set ns = namespace(is_first=false) %}",
            "{{ m['namespace'] }} { namespace } {",
            "{% raw %}{{ namespace '{% endraw %}{{ 'a' }}",
            "",
        ] {
            assert_eq!(held_namespace(source), None, "{source}");
        }
    }

    #[test]
    fn a_namespace_can_be_held_in_no_way() {
        let set = "{% set ns = namespace(x=0) %}";
        for held in [
            "{% set ns.x = ns ~ 'a' %}",
            "{% set ns.x = [ns] %}",
            "{% set a = ns %}",
            "{% set a = (ns) %}",
            "{% set a = namespace %}",
            "{% set ns.x = namespace() %}",
            "{% set a = namespace() or ns.x %}",
            "{% set a, b = namespace(), 1 %}",
            "{% set b = namespace(x=ns) %}",
            "{% with a = ns %}{% endwith %}",
            "{% for a in [ns] %}{% endfor %}",
            "{{ part(ns) }}",
            "{{ part(x=ns) }}",
            "{{ [namespace][0]() }}",
            "{{ namespace() }}",
            "{{- ns -}}",
            "{% do f(ns) %}",
            "{% raw %}{{ '{% endraw %}{{ ns }}",
            "{{ ns",
        ] {
            assert!(held_namespace(&format!("{set}{held}")).is_some(), "{held}");
        }
        assert_eq!(
            held_namespace("{% set ns = namespace() %}{{ part(ns) }}").as_deref(),
            Some("part ( ns )")
        );
    }
}
