//! Where the reader looks: what Back leads back to.

use std::ops::Range;

use lm_infinite::diagnose::Head;

use crate::tab::Tab;

/// Where the reader looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The tile in front.
    pub tab: Tab,
    /// The chosen head.
    pub head: Option<Head>,
    /// The cursor.
    pub mark: Option<u64>,
    /// The range.
    pub range: Option<Range<u64>>,
}
