//! Element by element: normalization, activation, exponentials, rotation. Plain loops, compiled per instruction set.

mod activation_functions;
mod arithmetic;
mod exponentials;
mod norms;
mod pairs;

pub(super) use activation_functions::normal_distribution;
pub use activation_functions::{
    gelu, gelu_tanh, gelu_tanh_multiply, silu_multiply, soft_cap, swiglu_bounded,
};
pub use arithmetic::{add, clamp, scale, sum, sum_by, sum_lanes};
pub use exponentials::{exp_nonpositive, exp_shifted, exp_shifted_with_entropy, larger, maximum, raise};
pub use norms::{layer_norm, rms_norm};
pub use pairs::{rotate, to_half_split};
