//! How good a text is against a reference: the scores of the paper's tasks, from their published definitions.
//!
//! | module | score | used for |
//! |---|---|---|
//! | [`bleu`](mod@bleu) | precision of n-grams, over a corpus | Table 3 |
//! | [`rouge`] | longest common subsequence | Table 3 |
//! | [`squad`] | overlap of words of a short answer | Qasper |

pub mod bleu;
pub mod rouge;
pub mod squad;
