//! The tabs of the central area, by name. What each shows is in [`registry`](crate::views::registry).

/// A tab of the central area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tab {
    /// Loss, logits and entropy.
    Curves,
    /// Attention maps of the chosen head.
    Map,
    /// Hidden states by layer.
    Features,
    /// The text, coloured.
    Text,
    /// What both policies generate.
    Generate,
    /// The paper's statements.
    Theory,
}

impl Tab {
    /// All, in the order of the number keys.
    pub const ALL: [Self; 6] =
        [Self::Curves, Self::Map, Self::Features, Self::Text, Self::Generate, Self::Theory];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curves => "Curves",
            Self::Map => "Map",
            Self::Features => "Features",
            Self::Text => "Text",
            Self::Generate => "Generate",
            Self::Theory => "Theory",
        }
    }

    /// What it shows, in a sentence.
    pub fn help(self) -> &'static str {
        match self {
            Self::Curves => "Loss, logits and entropy of A and B",
            Self::Map => "The attention of the chosen head, under A and B",
            Self::Features => "Hidden states by layer, in one frame for A and B",
            Self::Text => "The text, coloured by loss or by attention",
            Self::Generate => "What A and B generate after a long prompt",
            Self::Theory => "The paper's statements, of the chosen head and of drawn numbers",
        }
    }

    /// The tab of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tab| tab.name().eq_ignore_ascii_case(name))
    }

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&tab| tab == self).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tab_is_listed_once_and_found_by_its_name() {
        for (at, tab) in Tab::ALL.into_iter().enumerate() {
            assert_eq!((tab.index(), Tab::named(&tab.name().to_uppercase())), (at, Some(tab)));
        }
        assert_eq!(Tab::named("nothing"), None);
    }
}
