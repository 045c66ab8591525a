//! Which heads a table lists: what is typed, read as words that all have to hold.

use lm_infinite::diagnose::Head;

/// What is asked of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Condition {
    /// Its layer.
    Layer(usize),
    /// Its number in the layer.
    Number(usize),
    /// Both.
    Is(Head),
    /// The value of the column that sorts is more than this.
    More(f64),
    /// It is less than this.
    Less(f64),
    /// It is pinned.
    Pinned,
}

/// Conditions that all have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<Condition>);

/// What can be typed, for the field's help.
pub const HELP: &str =
    "Words that all hold: L4, H1, 4.1 for L4 H1, >2 or <0.5 of the column that sorts, pinned";

impl Filter {
    /// Reads what was typed.
    ///
    /// # Errors
    /// The word that means nothing.
    pub fn parse(typed: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<usize>().ok();
        let condition = |word: &str| {
            let lower = word.to_lowercase().replace('\u{2212}', "-");
            let after = |first: char| lower.strip_prefix(first);
            let value = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
            let both = |(layer, head): (&str, &str)| Some(Condition::Is((number(layer)?, number(head)?)));
            let read = (after('l').and_then(number).map(Condition::Layer))
                .or_else(|| after('h').and_then(number).map(Condition::Number))
                .or_else(|| after('>').and_then(value).map(Condition::More))
                .or_else(|| after('<').and_then(value).map(Condition::Less))
                .or_else(|| lower.split_once('.').and_then(both))
                .or_else(|| (lower == "pinned").then_some(Condition::Pinned));
            read.ok_or_else(|| format!("`{word}` means nothing here. {HELP}"))
        };
        typed.split_whitespace().map(condition).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a head is listed: `value` is that of the column that sorts.
    pub fn lists(&self, head: Head, value: Option<f64>, pins: &[Head]) -> bool {
        self.0.iter().all(|condition| match *condition {
            Condition::Layer(layer) => head.0 == layer,
            Condition::Number(number) => head.1 == number,
            Condition::Is(wanted) => head == wanted,
            Condition::More(least) => value.is_some_and(|value| value > least),
            Condition::Less(most) => value.is_some_and(|value| value < most),
            Condition::Pinned => pins.contains(&head),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_have_to_hold() {
        let lists = |typed: &str, head: Head, value: Option<f64>| {
            Filter::parse(typed).expect("a filter").lists(head, value, &[(1, 1)])
        };
        assert!(lists("", (0, 0), None));
        assert!(lists("L4 >2", (4, 1), Some(2.5)) && !lists("L4 >2", (4, 1), Some(2.0)));
        assert!(!lists("L4 >2", (3, 1), Some(2.5)) && !lists(">2", (4, 1), None));
        assert!(lists("h1", (9, 1), None) && !lists("h1", (9, 11), None));
        assert!(lists("4.1", (4, 1), None) && !lists("4.1", (4, 10), None));
        assert!(lists("<\u{2212}0.5", (0, 0), Some(-1.0)) && !lists("<-0.5", (0, 0), Some(0.0)));
        assert!(lists("Pinned", (1, 1), None) && !lists("pinned", (1, 2), None));
        for wrong in ["x", "L", ">nan", "4.", "-1.2", "> 2"] {
            assert!(Filter::parse(wrong).is_err(), "{wrong}");
        }
    }
}
