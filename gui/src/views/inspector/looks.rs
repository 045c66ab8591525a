//! What the cursor's token looks at: the keys that the chosen head gives most, computed exactly.

use std::sync::{Arc, Weak};

use eframe::egui::Context;
use lm_infinite::attention_window::{AttentionWindow, WindowRequest};

use crate::theme;
use crate::views::most::{Key, of_row};
use crate::views::shown::Shown;
use crate::views::strongest::strongest;
use crate::window_query::{Question, WindowQuery};

/// One policy: what is asked, and what came.
#[derive(Default)]
struct Side {
    query: WindowQuery,
    /// The answer that `keys` are of.
    of: Weak<AttentionWindow>,
    keys: Vec<Key>,
}

/// Every policy.
#[derive(Default)]
pub struct Looks(Vec<Side>);

impl Looks {
    /// Has the row of the cursor computed, once the cursor rests, and takes what came. Of a large model nothing is computed that
    /// nobody has asked for.
    pub fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        let sides = shown.inputs.map_or(0, |inputs| inputs.policies.len());
        self.0.resize_with(sides, Side::default);
        for side in &mut self.0 {
            side.query.poll();
            side.query.keep_only(shown.inputs);
        }
        let head = shown.head.or_else(|| strongest(shown.diagnosis));
        let (Some(inputs), Some((layer, head)), Some(query)) = (shown.inputs, head, shown.mark) else {
            return;
        };
        if shown.moving || !inputs.is_small() || query >= inputs.tokens.len() as u64 {
            return;
        }
        let request = WindowRequest { layer, head, queries: query..query + 1, keys: 0..query + 1, pool: 1 };
        for (at, side) in self.0.iter_mut().enumerate() {
            let question = Question { inputs: inputs.clone(), side: at, request: request.clone() };
            side.query.ask(question, theme::wake(ctx));
            side.take();
        }
    }

    /// The keys that a side gives most, of the token at `query`; `None` until they are known.
    pub fn of(&self, side: usize, query: u64) -> Option<&[Key]> {
        let side = self.0.get(side)?;
        let answer = side.query.answer()?;
        (answer.request.queries.start == query).then_some(side.keys.as_slice())
    }

    /// Why the row of a side is not known.
    pub fn failure(&self, side: usize) -> Option<&str> {
        self.0.get(side)?.query.failure()
    }
}

impl Side {
    fn take(&mut self) {
        let Some(answer) = self.query.answer() else { return };
        if self.of.upgrade().is_some_and(|of| Arc::ptr_eq(&of, answer)) {
            return;
        }
        self.keys = of_row(answer);
        self.of = Arc::downgrade(answer);
    }
}
