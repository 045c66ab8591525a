//! An arrangement as it is kept in a file, and what of a file is believed.

use serde::{Deserialize, Serialize};

use crate::tab::Tab;

/// Share of a row or column of tiles that were not there before.
const NEW: f32 = 1.0;
/// Smallest and largest share.
const SHARES: std::ops::RangeInclusive<f32> = 0.05..=20.0;

/// Tiles in tabs, rows and columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Saved {
    /// A tile.
    Tile(Tab),
    /// One of these is seen.
    Tabs {
        /// All of them.
        tabs: Vec<Saved>,
        /// Which is seen.
        active: usize,
    },
    /// Beside each other, with their shares.
    Row(Vec<(f32, Saved)>),
    /// Below each other, with their shares.
    Column(Vec<(f32, Saved)>),
}

impl Saved {
    /// As it can be used: shares that can be seen, every tile once, and those that it does not have in a row of tabs at its end.
    ///
    /// # Errors
    /// In words: a tile that is there twice; parts of nothing.
    pub fn checked(&self) -> Result<Self, String> {
        let mut seen = Vec::new();
        let checked = self.part(&mut seen)?;
        let missing: Vec<_> =
            Tab::ALL.into_iter().filter(|tab| !seen.contains(tab)).map(Self::Tile).collect();
        Ok(match (missing.is_empty(), checked) {
            (true, checked) => checked,
            (false, Self::Tabs { mut tabs, active }) => {
                tabs.extend(missing);
                Self::Tabs { tabs, active }
            }
            (false, other) => Self::Row(vec![(NEW, other), (NEW, Self::Tabs { tabs: missing, active: 0 })]),
        })
    }

    fn parts(parts: &[(f32, Self)], seen: &mut Vec<Tab>) -> Result<Vec<(f32, Self)>, String> {
        if parts.is_empty() {
            return Err("a row or column of nothing".to_owned());
        }
        let share = |share: f32| if share.is_finite() { share } else { NEW };
        let part = |(at, part): &(f32, Self)| {
            Ok((share(*at).clamp(*SHARES.start(), *SHARES.end()), part.part(seen)?))
        };
        parts.iter().map(part).collect()
    }

    fn part(&self, seen: &mut Vec<Tab>) -> Result<Self, String> {
        match self {
            Self::Tile(tab) if seen.contains(tab) => Err(format!("the tile {} is there twice", tab.name())),
            Self::Tile(tab) => {
                seen.push(*tab);
                Ok(self.clone())
            }
            Self::Tabs { tabs, .. } if tabs.is_empty() => Err("tabs of nothing".to_owned()),
            Self::Tabs { tabs, active } => {
                let tabs = tabs.iter().map(|part| part.part(seen)).collect::<Result<Vec<_>, _>>()?;
                let active = (*active).min(tabs.len() - 1);
                Ok(Self::Tabs { tabs, active })
            }
            Self::Row(parts) => Self::parts(parts, seen).map(Self::Row),
            Self::Column(parts) => Self::parts(parts, seen).map(Self::Column),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Saved, String> {
        serde_json::from_str::<Saved>(json).map_err(|e| e.to_string())?.checked()
    }

    fn tiles(of: &Saved) -> usize {
        match of {
            Saved::Tile(_) => 1,
            Saved::Tabs { tabs, .. } => tabs.iter().map(tiles).sum(),
            Saved::Row(parts) | Saved::Column(parts) => parts.iter().map(|(_, part)| tiles(part)).sum(),
        }
    }

    #[test]
    fn what_is_missing_is_added_and_what_cannot_be_is_refused() {
        let one = read(r#"{"tile":"Theory"}"#).expect("one tile");
        assert_eq!(tiles(&one), Tab::ALL.len());
        let tabs = read(r#"{"tabs":{"tabs":[{"tile":"Curves"}],"active":9}}"#).expect("tabs");
        assert!(matches!(&tabs, Saved::Tabs { active: 0, tabs } if tabs.len() == Tab::ALL.len()));
        let row =
            read(r#"{"row":[[-1e30,{"tile":"Text"}],[1e30,{"tile":"Map"}]]}"#).expect("shares are clamped");
        let Saved::Row(parts) = row else { panic!("a row") };
        assert!(matches!(&parts[0].1, Saved::Row(parts) if parts[0].0 == 0.05 && parts[1].0 == 20.0));
        for broken in [
            r#"{"row":[]}"#,
            r#"{"tabs":{"tabs":[],"active":0}}"#,
            r#"{"row":[[1.0,{"tile":"Text"}],[1.0,{"tile":"Text"}]]}"#,
            r#"{"tile":"Nothing"}"#,
            "7",
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
        // Nested as deep as JSON can be.
        let deep = |depth: usize| {
            format!("{}{{\"tile\":\"Text\"}}{}", "{\"row\":[[1.0,".repeat(depth), "]]}".repeat(depth))
        };
        assert!(read(&deep(30)).is_ok() && read(&deep(5000)).is_err());
    }
}
