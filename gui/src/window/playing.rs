//! The cursor while it is played: it moves through the text, or the range, in a few seconds.

use std::ops::Range;

use super::state::State;

/// Seconds from the beginning to the end.
const SECONDS: f64 = 12.0;
/// Longest step, in seconds: after a pause the cursor does not jump.
const LONGEST: f64 = 0.1;

impl State {
    /// Puts the cursor to a token, or lets it go. What is put by hand is not played any more.
    pub fn put_cursor(&mut self, token: Option<u64>, moving: bool) {
        (self.mark, self.dragged, self.playing) = (token, moving, None);
    }

    /// What is played: the range, or what every policy has read.
    fn played(&self) -> Option<Range<u64>> {
        let diagnosis = self.diagnosis.as_ref()?;
        let read = diagnosis.tokens_read();
        let range = self.range.clone().unwrap_or(0..read);
        let range = range.start..range.end.min(read);
        (!range.is_empty()).then_some(range)
    }

    /// Begins where the cursor is, or anew from the beginning where it is at the end; or holds it there.
    pub fn play(&mut self, play: bool) {
        self.playing = self.played().filter(|_| play).map(|range| {
            let inside = self.mark.filter(|mark| range.contains(mark) && mark + 1 < range.end);
            inside.unwrap_or(range.start) as f64
        });
        self.dragged = false;
    }

    /// Moves the cursor on by so many seconds.
    pub fn advance(&mut self, seconds: f64) {
        let (Some(at), Some(range)) = (self.playing, self.played()) else {
            self.playing = None;
            return;
        };
        let length = (range.end - range.start) as f64;
        let next = at + length * seconds.clamp(0.0, LONGEST) / SECONDS;
        let last = range.end - 1;
        self.mark = Some((next as u64).min(last));
        self.playing = (next < last as f64).then_some(next);
    }
}
