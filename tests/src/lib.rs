//! Integration tests of lm-infinite: one binary, one module per subject.
