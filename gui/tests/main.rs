//! The window without a screen, operated by its labels. One binary, so that one link serves.

mod captions;
mod causes;
mod common;
mod comparing;
mod export;
mod finding;
mod generate;
mod grid;
mod heads;
mod learned;
mod made_up;
mod manners;
mod open;
mod partial;
mod pulling;
mod reading;
mod runs;
mod screen_reader;
mod small;
mod steps;
mod texts;
mod timeline;
mod typed;
mod verdicts;
mod views;
mod window;
