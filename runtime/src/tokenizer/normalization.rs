//! What SentencePiece does to a text before it cuts it into pieces (`Normalizer` of the SentencePiece project; Kudo & Richardson 2018,
//! arXiv 1808.06226): characters are replaced by the longest rule of a table, spaces become `▁`, one stands in front of a text, and
//! those at the edges and behind others go where the file says so.

use tokenizers::{NormalizedString, Normalizer};

use super::charsmap::CharsMap;
use super::continuation::starts_the_text;
use crate::digest::Hasher;

/// The character that stands for a space.
const SPACE: &str = "▁";

/// Where a space is put in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Nowhere.
    Never,
    /// In front of a text.
    First,
    /// In front of a text, and of all that stands behind a special token.
    Always,
}

/// The steps.
pub(super) struct Normalization {
    /// Replacements.
    table: Option<CharsMap>,
    /// Are spaces at the edges, and behind other spaces, left out?
    removes_spaces: bool,
    /// Where a space is put in front.
    prefix: Prefix,
    /// Pieces of the user, which are not changed; sorted.
    kept: Vec<String>,
}

impl Normalization {
    /// The steps, which leave the pieces of the user, `kept`, as they are.
    pub fn new(table: Option<CharsMap>, removes_spaces: bool, prefix: Prefix, mut kept: Vec<String>) -> Self {
        kept.sort_unstable();
        Self { table, removes_spaces, prefix, kept }
    }

    /// Does it nothing but write spaces as `▁`, and put one in front?
    pub fn is_plain(&self) -> bool {
        self.table.is_none() && !self.removes_spaces
    }

    /// Adds everything that decides about a text.
    pub fn update(&self, hasher: &mut Hasher) {
        let Self { table, removes_spaces, prefix, kept } = self;
        if let Some(table) = table {
            table.update(hasher);
        }
        hasher.update(format!("{removes_spaces} {prefix:?} {kept:?}\n").as_bytes());
    }

    /// `text` where it goes on behind another text, or begins one.
    ///
    /// # Errors
    /// A table that is broken.
    pub fn normalized(&self, text: &str, prefix: bool, goes_on: bool) -> Result<String, String> {
        let mut out = String::with_capacity(text.len() + SPACE.len());
        let mut rest = text;
        if self.removes_spaces && !goes_on {
            while !rest.is_empty() {
                let (replacement, length) = self.next(rest)?;
                if replacement != " " {
                    break;
                }
                rest = &rest[length..];
            }
        }
        if rest.is_empty() {
            return Ok(out);
        }
        if prefix {
            out.push_str(SPACE);
        }
        let mut behind_space = self.removes_spaces && !goes_on;
        while !rest.is_empty() {
            let (mut replacement, length) = self.next(rest)?;
            if behind_space {
                replacement = replacement.trim_start_matches(' ');
            }
            for part in replacement.split_inclusive(' ') {
                match part.strip_suffix(' ') {
                    Some(before) => {
                        out.push_str(before);
                        out.push_str(SPACE);
                    }
                    None => out.push_str(part),
                }
            }
            if !replacement.is_empty() {
                behind_space = replacement.ends_with(' ');
            }
            behind_space &= self.removes_spaces;
            rest = &rest[length..];
        }
        if self.removes_spaces {
            out.truncate(out.trim_end_matches(SPACE).len());
        }
        Ok(out)
    }

    /// What the begin of `text` becomes, and how many bytes that is of.
    fn next<'a>(&'a self, text: &'a str) -> Result<(&'a str, usize), String> {
        let first = text.as_bytes().first();
        let from = self.kept.partition_point(|piece| piece.as_bytes().first() < first);
        let alike = self.kept[from..].iter().take_while(|piece| piece.as_bytes().first() == first);
        let kept = alike.filter(|piece| text.starts_with(piece.as_str())).map(String::len).max();
        if let Some(length) = kept {
            return Ok((&text[..length], length));
        }
        if let Some(table) = &self.table
            && let Some((length, replacement)) = table.longest(text)?
        {
            return Ok((replacement, length));
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        Ok((&text[..length], length))
    }
}

/// The steps for a text that begins, or goes on behind another.
pub(super) struct Placed<'a> {
    pub steps: &'a Normalization,
    pub goes_on: bool,
}

impl Normalizer for Placed<'_> {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        let first = starts_the_text(text);
        let prefix = match self.steps.prefix {
            Prefix::Never => false,
            Prefix::First => first && !self.goes_on,
            Prefix::Always => !(first && self.goes_on),
        };
        *text = NormalizedString::from(self.steps.normalized(text.get(), prefix, first && self.goes_on)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_removed_where_asked() {
        let steps = |removes| Normalization::new(None, removes, Prefix::Always, vec!["a b".into()]);
        for (text, removed, kept) in [
            ("", "", ""),
            (" ", "", "▁▁"),
            ("  x  y ", "▁x▁y", "▁▁▁x▁▁y▁"),
            ("x\n y", "▁x\n▁y", "▁x\n▁y"),
            ("a b  c", "▁a▁b▁c", "▁a▁b▁▁c"),
            ("▁ x▁", "▁▁▁x", "▁▁▁x▁"),
        ] {
            assert_eq!(steps(true).normalized(text, true, false).as_deref(), Ok(removed), "{text:?}");
            assert_eq!(steps(false).normalized(text, true, false).as_deref(), Ok(kept), "{text:?}");
        }
        // What goes on keeps the space between it and what stands before.
        assert_eq!(steps(true).normalized("  x ", false, true).as_deref(), Ok("▁x"));
    }
}
