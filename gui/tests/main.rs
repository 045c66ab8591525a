//! The window without a screen, operated by its labels. One binary, so that one link serves.

mod common;
mod export;
mod grid;
mod made_up;
mod manners;
mod open;
mod texts;
mod views;
mod window;
