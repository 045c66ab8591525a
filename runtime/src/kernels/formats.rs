//! The formats of quantized blocks whose products are written out by hand: the one list of them.

/// Defines `rows_times_vector` for an instruction set, in whose file this stands. A new format is one line here, and a function
/// in the file of each instruction set.
macro_rules! dispatch {
    ($features:literal) => {
        /// `out[r] = row r · x`, if the format is among those written out; else false, and nothing done.
        #[target_feature(enable = $features)]
        pub fn rows_times_vector(
            format: candle_core::quantized::GgmlDType,
            bytes: &[u8],
            x: &Activations<'_>,
            out: &mut [f32],
        ) -> bool {
            use candle_core::quantized::GgmlDType;
            match format {
                GgmlDType::Q4_0 => q4::<18>(bytes, x, out),
                GgmlDType::Q4_1 => q4::<20>(bytes, x, out),
                GgmlDType::Q8_0 => q8_0(bytes, x, out),
                _ => return false,
            }
            true
        }
    };
}

pub(super) use dispatch;
