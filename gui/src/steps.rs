//! Steps that can be taken back and taken again: of settings, and of where the reader looks.

use std::time::{Duration, Instant};

/// Changes that follow each other this closely are one: a number that is dragged, a word that is typed.
const TOGETHER: Duration = Duration::from_millis(800);
/// Steps that are kept.
const MOST: usize = 200;

/// What there was before, and what was taken back.
#[derive(Clone, Debug)]
pub struct Steps<T> {
    past: Vec<T>,
    now: Option<T>,
    future: Vec<T>,
    changed: Option<Instant>,
}

impl<T> Default for Steps<T> {
    fn default() -> Self {
        Self { past: Vec::new(), now: None, future: Vec::new(), changed: None }
    }
}

impl<T: Clone + PartialEq> Steps<T> {
    /// How it is at a time. What differs from before is a step, unless one has just been made.
    pub fn note(&mut self, value: &T, at: Instant) {
        let Some(now) = self.now.as_mut().filter(|now| *now != value) else {
            self.now.get_or_insert_with(|| value.clone());
            return;
        };
        let before = std::mem::replace(now, value.clone());
        let together = self.changed.is_some_and(|changed| at.duration_since(changed) < TOGETHER);
        if !together {
            self.past.push(before);
            if self.past.len() > MOST {
                self.past.remove(0);
            }
        }
        self.changed = Some(at);
        self.future.clear();
    }

    /// How it was before the last step.
    pub fn back(&mut self) -> Option<T> {
        let before = self.past.pop()?;
        self.future.extend(self.now.replace(before.clone()));
        self.changed = None;
        Some(before)
    }

    /// How it was before that was taken back.
    pub fn forward(&mut self) -> Option<T> {
        let after = self.future.pop()?;
        self.past.extend(self.now.replace(after.clone()));
        self.changed = None;
        Some(after)
    }

    /// Whether there is a step to be taken back, and one to be taken again.
    pub fn can(&self) -> (bool, bool) {
        (!self.past.is_empty(), !self.future.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_back_and_again_and_close_ones_are_one() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut steps = Steps::default();
        assert_eq!((steps.back(), steps.can()), (None, (false, false)));
        for (value, seconds) in [(1, 0), (2, 10), (2, 11), (3, 20), (4, 20), (5, 20)] {
            steps.note(&value, at(seconds));
        }
        assert_eq!((steps.back(), steps.back(), steps.back()), (Some(2), Some(1), None));
        assert_eq!((steps.forward(), steps.forward(), steps.forward()), (Some(2), Some(5), None));
        assert_eq!(steps.back(), Some(2));
        // What was taken back is noted as it is, and is no step; another value ends what could be taken again.
        steps.note(&2, at(40));
        assert_eq!(steps.can(), (true, true));
        steps.note(&7, at(41));
        assert_eq!((steps.can(), steps.back(), steps.back()), ((true, false), Some(2), Some(1)));
    }

    #[test]
    fn the_oldest_steps_are_let_go() {
        let begin = Instant::now();
        let mut steps = Steps::default();
        (0..500_u64).for_each(|value| steps.note(&value, begin + Duration::from_secs(value)));
        let taken = std::iter::from_fn(|| steps.back()).count();
        assert_eq!(taken, MOST);
    }
}
