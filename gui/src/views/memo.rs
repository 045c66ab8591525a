//! What a view computes of a diagnosis, kept until there is another diagnosis or another choice.

use std::sync::{Arc, Weak};

use lm_infinite::diagnose::Diagnosis;

/// The last value, with what it was computed of.
#[derive(Clone, Debug)]
pub struct Memo<K, T> {
    last: Option<(Weak<Diagnosis>, K, Arc<T>)>,
}

impl<K, T> Default for Memo<K, T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<K: PartialEq, T> Memo<K, T> {
    /// The value for `diagnosis` and `key`; computed only if the last one was for others.
    pub fn get(&mut self, diagnosis: &Arc<Diagnosis>, key: K, compute: impl FnOnce() -> T) -> Arc<T> {
        // A weak pointer keeps its address from being given to another diagnosis.
        let of = Arc::downgrade(diagnosis);
        match &self.last {
            Some((last, known, value)) if last.ptr_eq(&of) && *known == key => value.clone(),
            _ => {
                let value = Arc::new(compute());
                self.last = Some((of, key, value.clone()));
                value
            }
        }
    }
}
