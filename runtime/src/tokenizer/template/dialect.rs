//! What Hugging Face's environment knows and the template engine does not, put into the engine's own words:
//! `{% generation %}` blocks, which only mark what the assistant wrote, and `%` between a format and its values.

use std::borrow::Cow;

use super::blocks::{Word, blocks, words};

/// The filter that stands for the operator `%`.
pub(super) const PERCENT: &str = "__percent__";

/// A part of the source that is replaced: where, how many bytes, and by what.
type Edit = (usize, usize, String);

/// `source` in the engine's own words; line numbers stay. Line ends become `\n`, as Jinja2 has them.
pub(super) fn translate(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        return Cow::Owned(translate(&source.replace("\r\n", "\n").replace('\r', "\n")).into_owned());
    }
    let mut edits: Vec<Edit> = Vec::new();
    for block in blocks(source) {
        let found = words(&source[block.clone()]);
        let is_statement = source[..block.start].ends_with("{%");
        match found.as_slice() {
            [(at, Word::Name("generation"))] if is_statement => {
                edits.push((block.start + at, "generation".len(), "with".into()));
            }
            [(at, Word::Name("endgeneration"))] if is_statement => {
                edits.push((block.start + at, "endgeneration".len(), "endwith".into()));
            }
            found => {
                let of_block = percent_signs(found, is_statement).into_iter();
                edits.extend(of_block.map(|(at, length, text)| (block.start + at, length, text)));
            }
        }
    }
    if edits.is_empty() {
        return source.into();
    }
    // Stable: what was put at one place in turn stays in turn.
    edits.sort_by_key(|&(at, _, _)| at);
    let (mut out, mut at) = (String::with_capacity(source.len() + 16 * edits.len()), 0);
    for (from, length, text) in edits {
        out.push_str(&source[at..from]);
        out.push_str(&text);
        at = from + length;
    }
    out.push_str(&source[at..]);
    out.into()
}

/// Words that end an operand of `%`: everything that binds less, and the keywords of statements.
const LOOSER: [&str; 15] = [
    "and",
    "or",
    "not",
    "in",
    "if",
    "else",
    "elif",
    "for",
    "set",
    "with",
    "call",
    "filter",
    "do",
    "print",
    "recursive",
];

/// What is known of an expression within one pair of brackets.
#[derive(Clone, Copy)]
struct Level {
    /// Where the product began of which the next operator is a part.
    product: Option<usize>,
    /// End of the last word of an operand.
    end: usize,
    /// Was a `%` written whose right operand is not at its end yet?
    open: bool,
}

impl Level {
    const NEW: Self = Self { product: None, end: 0, open: false };

    /// The right operand of an open `%` is at its end.
    fn close(&mut self, edits: &mut Vec<Edit>) {
        if std::mem::take(&mut self.open) {
            edits.push((self.end, 0, "))".into()));
        }
    }

    /// A word that is a part of an operand.
    fn operand(&mut self, at: usize, length: usize) {
        self.product.get_or_insert(at);
        self.end = at + length;
    }
}

/// `left % right`, as `(left)|__percent__((right))`: operators of the same rank are taken from the left, so `left` is
/// everything since the product began.
fn percent_signs(words: &[(usize, Word<'_>)], is_statement: bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    if !words.iter().any(|&(_, word)| word == Word::Sign('%')) {
        return edits;
    }
    let mut levels = vec![Level::NEW];
    // Is the next word the beginning of an operand?
    let mut begins = true;
    for (index, &(at, word)) in words.iter().enumerate() {
        // There is one level at least: the outermost is never closed.
        let Some(level) = levels.last_mut() else { return Vec::new() };
        let behind_dot = index > 0 && words[index - 1].1 == Word::Sign('.');
        match word {
            Word::Sign('(' | '[' | '{') => {
                level.operand(at, 1);
                levels.push(Level::NEW);
                begins = true;
            }
            Word::Sign(')' | ']' | '}') => {
                level.close(&mut edits);
                if levels.len() > 1 {
                    levels.pop();
                }
                if let Some(outer) = levels.last_mut() {
                    outer.operand(at, 1);
                }
                begins = false;
            }
            Word::Sign('%') => {
                level.close(&mut edits);
                let Some(product) = level.product else { return Vec::new() };
                edits.push((product, 0, "(".into()));
                edits.push((at, 1, format!(")|{PERCENT}((")));
                (level.open, level.end) = (true, at + 1);
                begins = true;
            }
            // A power binds more than `%`.
            Word::Sign('*')
                if [index.checked_sub(1), Some(index + 1)].into_iter().flatten().any(|near| {
                    words
                        .get(near)
                        .is_some_and(|&(place, word)| word == Word::Sign('*') && place.abs_diff(at) == 1)
                }) =>
            {
                level.operand(at, 1);
                begins = true;
            }
            Word::Sign('*' | '/') => {
                level.close(&mut edits);
                level.end = at + 1;
                begins = true;
            }
            Word::Sign('-' | '+') if begins => level.operand(at, 1),
            Word::Sign('.' | '|') => {
                level.operand(at, 1);
                begins = false;
            }
            Word::Sign(_) => {
                level.close(&mut edits);
                level.product = None;
                begins = true;
            }
            Word::Name(name) if !behind_dot && (LOOSER.contains(&name) || (index == 0 && is_statement)) => {
                level.close(&mut edits);
                level.product = None;
                begins = true;
            }
            Word::Name(_) | Word::Text(_) => {
                level.operand(at, word.length());
                begins = false;
            }
        }
    }
    for level in levels.iter_mut().rev() {
        level.close(&mut edits);
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_block_is_its_content() {
        let source = "a{%- generation -%} {{ m }} {%+ endgeneration %}{# {% generation %} #}{{ generation }}";
        let expected = "a{%- with -%} {{ m }} {%+ endwith %}{# {% generation %} #}{{ generation }}";
        assert_eq!(translate(source), expected);
        assert_eq!(
            translate("{{ 'x' }}{{ generation }} 5 % 3 {%- raw %}{{ a % b }}{% endraw %}"),
            "{{ 'x' }}{{ generation }} 5 % 3 {%- raw %}{{ a % b }}{% endraw %}"
        );
    }

    #[test]
    fn percent_signs_take_what_python_takes() {
        for (source, expected) in [
            ("a % b", "(a )|%(( b))"),
            ("'%s' % a.b[c % d](e)|f + g", "('%s' )|%(( a.b[(c )|%(( d))](e)|f)) + g"),
            ("a % b % c", "((a )|%(( b)) )|%(( c))"),
            ("x + a * b % c", "x + (a * b )|%(( c))"),
            ("a ** 2 % b ** -c", "(a ** 2 )|%(( b ** -c))"),
            ("not a % -2 == 0 and b", "not (a )|%(( -2)) == 0 and b"),
            ("f(x, '%d%%' % (a, b), y=1)", "f(x, ('%d%%' )|%(( (a, b))), y=1)"),
            ("'%' ~ a", "'%' ~ a"),
            ("% a", "% a"),
            ("a % b if c else d % e", "(a )|%(( b)) if c else (d )|%(( e))"),
            ("m.in % 2", "(m.in )|%(( 2))"),
            ("a // b % c", "(a // b )|%(( c))"),
            ("a] % b", "(a] )|%(( b))"),
            ("- % = a", "(- )|%(()) = a"),
            ("a % % b", "((a )|%(()) )|%(( b))"),
            ("a %", "(a )|%(())"),
        ] {
            let source = format!("{{{{ {source} }}}}");
            let expected = format!("{{{{ {} }}}}", expected.replace("|%", &format!("|{PERCENT}")));
            assert_eq!(translate(&source), expected, "{source}");
        }
        let statement = "{%- if (m == 'user') != (loop.index0 % 2 == 0) %}";
        let expected = "{%- if (m == 'user') != ((loop.index0 )|__percent__(( 2)) == 0) %}";
        assert_eq!(translate(statement), expected);
    }
}
