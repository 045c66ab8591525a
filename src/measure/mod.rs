//! What is measured of a model: one file or folder for each measurement, without a command line and without pictures.

pub mod ablation;
pub mod bench;
pub mod calibrate;
pub mod causes;
pub mod compare;
pub mod cost;
pub mod diagnose;
pub mod evaluate;
pub mod long_run;
pub mod machine;
pub mod method;
pub mod needles;
pub mod passkey;
pub mod prediction;
pub mod qasper;
pub mod reference_bias;
pub mod scores;
mod unfinished_run;
