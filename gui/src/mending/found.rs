//! What is asked of the thread, what it sends, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lm_infinite::causes::{Causes, HeadEffect, LayerEffect, Place, Places, Restored, SmallestFix};
use lm_infinite::diagnose::Diagnosis;

use crate::inputs::Inputs;

/// Layers and heads that are mended.
pub type Mends = BTreeSet<Place>;

/// What to look into.
#[derive(Clone)]
pub struct Request {
    /// Model and text.
    pub inputs: Arc<Inputs>,
    /// Whose losses are known.
    pub diagnosis: Arc<Diagnosis>,
    /// Tokens of the text, from its beginning.
    pub tokens: u64,
}

/// Losses with some places mended.
#[derive(Clone, Debug, PartialEq)]
pub struct Mended {
    /// Where the fix is.
    pub places: Mends,
    /// Of the tokens that are compared, in nats.
    pub losses: Arc<[f32]>,
    /// What that takes away of the excess; `None` where a loss is not finite, or there is no excess.
    pub restored: Option<Restored>,
}

/// What is known.
#[derive(Clone)]
pub struct Found {
    /// The factorial, and what was found since.
    pub causes: Causes,
    /// Losses of the compared tokens as the model is.
    pub vanilla: Arc<[f32]>,
    /// And with the fix everywhere.
    pub fix: Arc<[f32]>,
    /// Layers, and heads of a layer.
    pub size: (usize, usize),
    /// What the fix in each place alone takes away of the excess.
    pub restored: BTreeMap<Place, Option<Restored>>,
    /// The last that the reader mended.
    pub mended: Option<Mended>,
    /// The search for a small set is over.
    pub searched: bool,
}

/// What the thread sends.
pub enum Message {
    /// The factorial.
    Begun(Box<Found>),
    /// The fix in one place alone.
    Place(Place, Option<Restored>),
    /// What the reader wanted mended.
    Mended(Mended),
    /// A small set, if there is one.
    Smallest(Option<SmallestFix>),
}

impl Found {
    /// Every place that is measured alone: layers first.
    pub fn places((layers, heads): (usize, usize)) -> Vec<Place> {
        let whole = (0..layers).map(|layer| Place { layer, head: None });
        let heads = (0..layers * heads).map(|at| Place { layer: at / heads, head: Some(at % heads) });
        whole.chain(heads).collect()
    }

    /// Whether every place was measured.
    pub fn is_whole(&self) -> bool {
        let (layers, heads) = self.size;
        self.restored.len() == layers * (heads + 1)
    }

    pub(super) fn take(&mut self, message: Message) {
        match message {
            Message::Begun(found) => *self = *found,
            Message::Place(place, restored) => {
                self.restored.insert(place, restored);
                if self.is_whole() {
                    self.causes.places = Some(self.measured());
                }
            }
            Message::Mended(mended) => self.mended = Some(mended),
            Message::Smallest(fix) => (self.causes.smallest_fix, self.searched) = (fix, true),
        }
    }

    pub(super) fn measured(&self) -> Places {
        let mut places = Places { layers: Vec::new(), heads: Vec::new(), seconds: 0.0 };
        for (&Place { layer, head }, &restored) in &self.restored {
            match head {
                None => places.layers.push(LayerEffect { layer, restored, lost: None }),
                Some(head) => places.heads.push(HeadEffect { layer, head, restored }),
            }
        }
        places
    }
}
