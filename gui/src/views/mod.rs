//! What is drawn. A view takes what is [`Shown`](shown::Shown), and pushes commands for what the reader asks for.

pub mod ask;
pub mod caption;
pub mod curves;
pub mod export;
pub mod features;
pub mod generate;
pub mod heads;
pub mod map;
pub mod memo;
pub mod pane;
pub mod reach;
pub mod registry;
mod room;
pub mod run_bar;
pub mod shown;
mod strongest;
pub mod text;
pub mod theory;
pub mod tokens;
pub mod verdicts;
