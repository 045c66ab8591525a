//! Measurements of length failure, on ndarray alone.
