//! Which tiles there are, how they are arranged, and which one the reader looks at. Every tile is always somewhere: bringing it
//! to the front is all that a key or a button has to do.

mod layout;
mod saved;

use eframe::egui::Id;
use egui_tiles::{Container, Linear, LinearDir, Tabs, Tile, TileId, Tiles, Tree};

pub use self::layout::Layout;
pub use self::saved::Saved;

use crate::tab::Tab;

/// Narrower windows have no room beside each other: side panels fold away, and tiles become tabs.
pub const NARROW: f32 = 1100.0;

/// The tiles, as they are docked, split and tabbed.
pub type Arrangement = Tree<Tab>;

/// Which side panels are open: as the reader said, else wherever there is room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Panels {
    runs: Option<bool>,
    inspector: Option<bool>,
}

impl Panels {
    /// Whether that of the runs is.
    pub fn runs(self, narrow: bool) -> bool {
        self.runs.unwrap_or(!narrow)
    }

    /// Whether the inspector is.
    pub fn inspector(self, narrow: bool) -> bool {
        self.inspector.unwrap_or(!narrow)
    }

    /// The same with that of the runs opened or closed.
    #[must_use]
    pub fn with_runs(self, open: bool) -> Self {
        Self { runs: Some(open), ..self }
    }

    /// The same with the inspector opened or closed.
    #[must_use]
    pub fn with_inspector(self, open: bool) -> Self {
        Self { inspector: Some(open), ..self }
    }
}

/// The tiles, and which one is in front.
#[derive(Clone, Debug, PartialEq)]
pub struct Workbench {
    /// How they are arranged where there is room.
    pub tiles: Arrangement,
    /// The one that was brought to the front last.
    pub front: Tab,
    /// The arrangement that was chosen last; tiles may have been moved since.
    pub layout: Layout,
}

impl Workbench {
    /// As a layout ships.
    pub fn new(layout: Layout) -> Self {
        Self { tiles: arranged(&layout.saved()), front: layout.front(), layout }
    }

    /// As it is asked for: a tile in front, in the layout that is named, or else the one in which it has most room.
    pub fn asked_for(layout: Option<Layout>, tab: Option<Tab>) -> Self {
        let mut bench = Self::new(layout.or(tab.map(Layout::of)).unwrap_or_default());
        if let Some(tab) = tab {
            bench.show(tab);
        }
        bench
    }

    /// As it was left.
    ///
    /// # Errors
    /// In words, where what was kept cannot be used.
    pub fn restored(saved: &Saved, layout: Layout) -> Result<Self, String> {
        let tiles = arranged(&saved.checked()?);
        Ok(Self { tiles, front: layout.front(), layout })
    }

    /// How it would be restored; `None` for a tree without tiles, which cannot be made.
    pub fn saved(&self) -> Option<Saved> {
        self.tiles.root().and_then(|root| saved(&self.tiles.tiles, root))
    }

    /// Brings a tile to the front, and all it lies in.
    pub fn show(&mut self, tab: Tab) {
        self.front = tab;
        self.tiles.make_active(|_, tile| matches!(tile, Tile::Pane(pane) if *pane == tab));
    }

    /// The tiles that are on screen. A narrow window has one: both maps are one there.
    pub fn visible(&self, narrow: bool) -> Vec<Tab> {
        if narrow {
            return vec![self.alone()];
        }
        let pane = |id: &TileId| self.tiles.tiles.get_pane(id).copied();
        self.tiles.active_tiles().iter().filter_map(pane).collect()
    }

    /// The tile that a narrow window shows.
    pub fn alone(&self) -> Tab {
        if self.front == Tab::MapB { Tab::Map } else { self.front }
    }

    /// All tiles as tabs, for a narrow window.
    pub fn tabs(&self) -> Arrangement {
        let mut tiles = Tiles::default();
        let names = [
            Tab::Curves,
            Tab::Heads,
            Tab::Map,
            Tab::AllMaps,
            Tab::Text,
            Tab::Causes,
            Tab::Features,
            Tab::Generate,
            Tab::Theory,
        ];
        let ids = names.map(|tab| (tab, tiles.insert_pane(tab)));
        let mut tabs = Tabs::new(ids.iter().map(|&(_, id)| id).collect());
        if let Some(&(_, id)) = ids.iter().find(|(tab, _)| *tab == self.alone()) {
            tabs.set_active(id);
        }
        let root = tiles.insert_container(tabs);
        Tree::new(Id::unique("tiles as tabs"), root, tiles)
    }
}

fn arranged(saved: &Saved) -> Arrangement {
    let mut tiles = Tiles::default();
    let root = insert(&mut tiles, saved);
    Tree::new(Id::unique("tiles"), root, tiles)
}

fn insert(tiles: &mut Tiles<Tab>, saved: &Saved) -> TileId {
    let linear = |tiles: &mut Tiles<Tab>, dir: LinearDir, parts: &[(f32, Saved)]| {
        let ids: Vec<_> = parts.iter().map(|(share, part)| (insert(tiles, part), *share)).collect();
        let mut linear = Linear::new(dir, ids.iter().map(|&(id, _)| id).collect());
        ids.into_iter().for_each(|(id, share)| linear.shares.set_share(id, share));
        tiles.insert_container(linear)
    };
    match saved {
        Saved::Tile(tab) => tiles.insert_pane(*tab),
        Saved::Tabs { tabs, active } => {
            let ids: Vec<_> = tabs.iter().map(|part| insert(tiles, part)).collect();
            let front = ids.get(*active).copied();
            let mut tabs = Tabs::new(ids);
            if let Some(front) = front {
                tabs.set_active(front);
            }
            tiles.insert_container(tabs)
        }
        Saved::Row(parts) => linear(tiles, LinearDir::Horizontal, parts),
        Saved::Column(parts) => linear(tiles, LinearDir::Vertical, parts),
    }
}

fn saved(tiles: &Tiles<Tab>, id: TileId) -> Option<Saved> {
    let container = match tiles.get(id)? {
        Tile::Pane(tab) => return Some(Saved::Tile(*tab)),
        Tile::Container(container) => container,
    };
    let parts = || container.children().filter_map(|&child| Some((child, saved(tiles, child)?)));
    Some(match container {
        Container::Tabs(tabs) => {
            let active = parts().position(|(id, _)| tabs.is_active(id)).unwrap_or(0);
            Saved::Tabs { tabs: parts().map(|(_, part)| part).collect(), active }
        }
        Container::Linear(linear) => {
            let all = parts().map(|(id, part)| (linear.shares[id], part)).collect();
            if linear.dir == LinearDir::Horizontal { Saved::Row(all) } else { Saved::Column(all) }
        }
        // No layout has one, and dragging makes none.
        Container::Grid(_) => Saved::Row(parts().map(|(_, part)| (1.0, part)).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrangement_comes_back_as_it_was_left() {
        for layout in Layout::ALL {
            let mut bench = Workbench::new(layout);
            bench.show(Tab::Theory);
            let json = serde_json::to_string(&bench.saved()).expect("JSON");
            let read: Option<Saved> = serde_json::from_str(&json).expect("read");
            let again = Workbench::restored(&read.expect("some"), layout).expect("restored");
            assert_eq!(again.saved(), bench.saved());
            assert!(again.visible(false).contains(&Tab::Theory), "{layout:?}");
        }
    }

    #[test]
    fn every_tile_can_be_brought_to_the_front_in_every_layout() {
        for layout in Layout::ALL {
            let mut bench = Workbench::new(layout);
            assert!(bench.visible(false).contains(&layout.front()));
            for tab in Tab::ALL {
                bench.show(tab);
                assert!(bench.visible(false).contains(&tab), "{layout:?} {tab:?}");
                assert_eq!(bench.visible(true), [if tab == Tab::MapB { Tab::Map } else { tab }]);
            }
        }
    }
}
