//! Refuses templates that could build a namespace which holds itself: printing it never ends, and takes the program with
//! it. Namespaces are the only values of Jinja that change, so no value holds itself where no namespace is held at all.

use super::blocks::{Word, blocks, words};

/// Where a namespace is used in another way than by its attributes (`ns.count`, `ns['count']`), by which alone chat
/// templates use them; the text around it.
pub(super) fn held_namespace(source: &str) -> Option<String> {
    let blocks: Vec<Vec<Word>> = blocks(source)
        .into_iter()
        .map(|block| words(&source[block]).into_iter().map(|(_, word)| word))
        .map(|words| words.filter(|word| !matches!(word, Word::Text(_))).collect())
        .collect();
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
