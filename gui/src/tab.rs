//! The tiles of the workbench, by name. What each shows is in [`registry`](crate::views::registry).

use eframe::egui::Key;

/// A tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Tab {
    /// Loss, logits and entropy.
    Curves,
    /// Attention map of the chosen head under A, and under every other policy after it.
    Map,
    /// Hidden states by layer.
    Features,
    /// The text, coloured.
    Text,
    /// What every policy generates.
    Generate,
    /// The paper's statements.
    Theory,
    /// Attention map of the chosen head under B, and so on.
    MapB,
    /// Every head, coloured.
    Heads,
    /// Every head's map, small.
    AllMaps,
    /// What makes the loss rise, by intervention.
    Causes,
}

impl Tab {
    /// All, in the order of the number keys.
    pub const ALL: [Self; 10] = [
        Self::Curves,
        Self::Map,
        Self::Features,
        Self::Text,
        Self::Generate,
        Self::Theory,
        Self::MapB,
        Self::Heads,
        Self::AllMaps,
        Self::Causes,
    ];

    /// Its key.
    pub fn key(self) -> Key {
        const KEYS: [Key; 10] = [
            Key::Num1,
            Key::Num2,
            Key::Num3,
            Key::Num4,
            Key::Num5,
            Key::Num6,
            Key::Num7,
            Key::Num8,
            Key::Num9,
            Key::Num0,
        ];
        KEYS[self.index()]
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curves => "Curves",
            Self::Map => "Map A",
            Self::Features => "Features",
            Self::Text => "Text",
            Self::Generate => "Generate",
            Self::Theory => "Theory",
            Self::MapB => "Map B",
            Self::Heads => "Heads",
            Self::AllMaps => "All maps",
            Self::Causes => "Causes",
        }
    }

    /// What it shows, in a sentence.
    pub fn help(self) -> &'static str {
        match self {
            Self::Curves => "Loss, logits and entropy of every policy",
            Self::Map => "The attention of the chosen head, under A",
            Self::Features => "Hidden states by layer, in one frame for all policies",
            Self::Text => "The text, coloured by loss or by attention",
            Self::Generate => "What the policies generate after a long prompt",
            Self::Theory => "The paper's statements, of the chosen head and of drawn numbers",
            Self::MapB => "The attention of the chosen head, under B",
            Self::Heads => "Every head, coloured by a measure",
            Self::AllMaps => "The map of every head, small",
            Self::Causes => "Which layers and heads make the loss rise: mend them and watch it",
        }
    }

    /// The tile of that name, in any case; `map` alone is the first of the two.
    pub fn named(name: &str) -> Option<Self> {
        let is = |tab: &Self| tab.name().eq_ignore_ascii_case(name);
        let map = name.eq_ignore_ascii_case("map").then_some(Self::Map);
        map.or_else(|| Self::ALL.into_iter().find(is))
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
        let keys: std::collections::HashSet<_> = Tab::ALL.map(Tab::key).into();
        assert_eq!((Tab::Curves.key(), Tab::Causes.key(), keys.len()), (Key::Num1, Key::Num0, 10));
        assert_eq!((Tab::named("nothing"), Tab::named("map")), (None, Some(Tab::Map)));
    }
}
