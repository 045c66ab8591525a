//! What a view computes of a diagnosis before a frame, kept until there is another diagnosis or another choice.

use std::sync::{Arc, Weak};

use lm_infinite::diagnose::Diagnosis;

/// The last value, with what it was computed of.
#[derive(Clone, Debug)]
pub struct Memo<K, T> {
    last: Option<(Weak<Diagnosis>, K, T)>,
}

impl<K, T> Default for Memo<K, T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<K: PartialEq, T> Memo<K, T> {
    /// Computes the value for `diagnosis` and `key`, if the last one was for others.
    pub fn update(&mut self, diagnosis: &Arc<Diagnosis>, key: K, compute: impl FnOnce() -> T) {
        // A weak pointer keeps its address from being given to another diagnosis.
        let of = Arc::downgrade(diagnosis);
        if !self.last.as_ref().is_some_and(|(last, known, _)| last.ptr_eq(&of) && *known == key) {
            self.last = Some((of, key, compute()));
        }
    }

    /// The last value.
    pub fn value(&self) -> Option<&T> {
        self.last.as_ref().map(|(_, _, value)| value)
    }
}
