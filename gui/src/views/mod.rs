//! What is drawn. A view takes what is [`Shown`](shown::Shown), and pushes commands for what the reader asks for.

pub mod ask;
pub mod caption;
pub mod curves;
pub mod data;
pub mod export;
pub mod features;
pub mod generate;
pub mod heads;
pub mod inspector;
pub mod map;
pub mod memo;
pub mod pair;
pub mod pane;
pub mod reach;
pub mod registry;
mod room;
pub mod run_bar;
pub mod runs;
pub mod sentence;
pub mod shown;
mod strongest;
pub mod text;
pub mod theory;
pub mod timeline;
pub mod tokens;
