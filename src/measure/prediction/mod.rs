//! What a model will do beyond its training length, from windows within it alone: no long text is read.
//!
//! A long context is composed: the start tokens of a window of the training length, behind them keys and values of *other*
//! windows as far as the length asks for, behind these the window's own. The last part of the window is read there, as if it
//! stood at the end of a long text. Queries, keys and values are the model's own, the position encoding puts them at unseen
//! distances exactly, and hidden states change from layer to layer as they do in a long text. What was read at one length is
//! what the next, longer one is composed of ([`Ladder`]): old tokens are themselves states of long contexts.
//!
//! * [`predict`]: the windows at every length of a ladder, with the losses and the probes of a diagnosis.
//! * [`Predicted`]: what they say of the loss and of every head, by the rules of [`diagnose`](crate::diagnose).
//!
//! What cannot be known is what a long text itself would tell: its old tokens belong together, those of other windows do not.

mod composed;
mod ladder;
mod result;
mod watch;
mod words;

pub use composed::{Windows, predict};
pub use ladder::Ladder;
pub use result::{AtLength, HeadAtLength, Predicted, PredictedHead};
