//! What a training looked like.

use serde::{Deserialize, Serialize};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Steps done.
    pub step: u64,
    /// Mean training loss since the line before, in nats per token.
    pub loss: f64,
    /// Held-out loss, in nats per token.
    pub held_out: f64,
    /// Learning rate.
    pub rate: f64,
    /// Norm of the last gradient, before clipping.
    pub gradient_norm: f64,
    /// Seconds since the start.
    pub seconds: f64,
}

/// The log as CSV.
pub fn csv(lines: &[LogLine]) -> String {
    let mut out = String::from("step,loss,held_out,learning_rate,gradient_norm,seconds\n");
    for line in lines {
        out += &format!(
            "{},{:.5},{:.5},{:.6},{:.4},{:.1}\n",
            line.step, line.loss, line.held_out, line.rate, line.gradient_norm, line.seconds
        );
    }
    out
}
