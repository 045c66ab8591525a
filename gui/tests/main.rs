//! The window without a screen, operated by its labels. One binary, so that one link serves.

mod captions;
mod common;
mod export;
mod grid;
mod made_up;
mod manners;
mod open;
mod partial;
mod reading;
mod runs;
mod small;
mod texts;
mod timeline;
mod verdicts;
mod views;
mod window;
