//! Training a small decoder from scratch, on CPU, to make a length failure under control.
//!
//! The graph is candle's, with operations of our own where plain ones are slow ([`ops`]); the mathematics is that of
//! [`lm_infinite_runtime::session::decoder`], and a test holds the two together. Steps depend on seed and step number alone: a run that is
//! interrupted and resumed is the run that was not, bit for bit.

mod card;
pub mod checkpoint;
pub mod corpus;
pub mod error;
pub mod export;
pub mod family;
pub mod gradients;
pub mod graph;
pub mod layout;
pub mod log;
pub mod ops;
pub mod optimizer;
pub mod options;
pub mod parameters;
mod retrieval;
pub mod shape;
mod trainer;
pub mod vocabulary;
pub mod wording;

pub use error::{Error, Result};
pub use family::{TrainFamily, TrainPosition};
pub use options::TrainOptions;
pub use shape::Shape;
pub use trainer::Trainer;
