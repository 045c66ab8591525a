//! Looks for NaN and infinity in stored weights, at the speed of memory: one bad weight makes every logit NaN, and says
//! nothing about where it came from.
//!
//! Floats are checked one by one. In block formats the quants are integers, so only the scales can be bad.

use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

use crate::model::weights::WeightType;

/// Bytes that one task scans: enough to hide the cost of a task.
const TASK_BYTES: usize = 1 << 20;

/// Index (in elements, of the block's first element for block formats) of the first value that is not finite.
pub(super) fn first_non_finite(bytes: &[u8], weight_type: WeightType) -> Option<usize> {
    let (block, block_bytes) = weight_type.block();
    let bad = |stored: &[u8]| match weight_type {
        WeightType::F32 => f32_is_bad(stored),
        WeightType::F16 => f16_is_bad(stored),
        WeightType::Bf16 => u16::from_le_bytes([stored[0], stored[1]]) & 0x7f80 == 0x7f80,
        WeightType::Quantized(GgmlDType::Q8K) => f32_is_bad(stored),
        WeightType::Quantized(t) => f16_scales(t).iter().any(|&at| f16_is_bad(&stored[at..])),
        WeightType::Block(format) => !format.is_finite(stored),
    };
    let blocks_per_task = TASK_BYTES / block_bytes;
    bytes
        .par_chunks(blocks_per_task * block_bytes)
        .enumerate()
        .filter_map(|(task, chunk)| {
            // No early exit inside a chunk: the loop without branches is the fast one.
            let any = chunk.chunks_exact(block_bytes).fold(false, |any, stored| any | bad(stored));
            any.then(|| chunk.chunks_exact(block_bytes).position(bad))
                .flatten()
                .map(|at| task * blocks_per_task + at)
        })
        .min()
        .map(|index| index * block)
}

fn f32_is_bad(stored: &[u8]) -> bool {
    u32::from_le_bytes([stored[0], stored[1], stored[2], stored[3]]) & 0x7f80_0000 == 0x7f80_0000
}

fn f16_is_bad(stored: &[u8]) -> bool {
    u16::from_le_bytes([stored[0], stored[1]]) & 0x7c00 == 0x7c00
}

/// Byte offsets of the f16 scales and minima inside a block.
fn f16_scales(block_type: GgmlDType) -> &'static [usize] {
    match block_type {
        GgmlDType::Q4_0 | GgmlDType::Q5_0 | GgmlDType::Q8_0 => &[0],
        GgmlDType::Q4_1 | GgmlDType::Q5_1 | GgmlDType::Q8_1 | GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
        GgmlDType::Q2K => &[80, 82],
        GgmlDType::Q3K => &[108],
        GgmlDType::Q6K => &[208],
        GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 | GgmlDType::Q8K => &[],
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::model::block_format::BlockFormat;

    const BLOCK_TYPES: [GgmlDType; 11] = [
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q2K,
        GgmlDType::Q3K,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
        GgmlDType::Q8K,
    ];

    #[test]
    fn finds_the_first_bad_float_of_every_float_type() {
        let values = |bad: f32| (0..1000).map(move |i| if i == 700 || i == 900 { bad } else { i as f32 });
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let wide: Vec<u8> = values(bad).flat_map(f32::to_le_bytes).collect();
            let half: Vec<u8> = values(bad).flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect();
            let brain: Vec<u8> = values(bad).flat_map(|v| half::bf16::from_f32(v).to_le_bytes()).collect();
            assert_eq!(first_non_finite(&wide, WeightType::F32), Some(700));
            assert_eq!(first_non_finite(&half, WeightType::F16), Some(700));
            assert_eq!(first_non_finite(&brain, WeightType::Bf16), Some(700));
            assert_eq!(first_non_finite(&wide[..700 * 4], WeightType::F32), None);
        }
    }

    #[test]
    fn the_scales_of_ggmls_other_formats_are_seen() {
        for format in BlockFormat::ALL {
            let (values, bytes) = format.block();
            let mut stored = vec![0; 3 * bytes];
            assert_eq!(first_non_finite(&stored, WeightType::Block(format)), None, "{format}");
            // Every bit of the scale that makes it infinite or NaN, wherever it lies; the block is the last one.
            let last = &mut stored[2 * bytes..];
            match format {
                BlockFormat::Mxfp4 => last[0] = 255,
                BlockFormat::Iq1M => (last[55], last[53]) = (0x70, 0xc0),
                BlockFormat::Tq1_0 => last[53] = 0x7c,
                BlockFormat::Tq2_0 => last[65] = 0x7c,
                _ => last[1] = 0x7c,
            }
            assert_eq!(first_non_finite(&stored, WeightType::Block(format)), Some(2 * values), "{format}");
        }
        // 2^125 · 12 is too large, 2^125 · 6 is not.
        let mut block = [0u8; 17];
        block[0] = 253;
        block[9] = 0x75;
        assert_eq!(first_non_finite(&block, WeightType::Block(BlockFormat::Mxfp4)), Some(0));
        block[9] = 0x5d;
        assert_eq!(first_non_finite(&block, WeightType::Block(BlockFormat::Mxfp4)), None);
    }

    #[test]
    fn the_scales_are_where_the_block_format_has_them() {
        let weights =
            Tensor::from_vec((0..1024).map(|i| (i as f32).sin()).collect::<Vec<_>>(), 1024, &Device::Cpu)
                .expect("tensor");
        for block_type in BLOCK_TYPES {
            let stored = QTensor::quantize(&weights, block_type).expect("quantized");
            let clean = stored.data().expect("bytes").to_vec();
            let weight_type = WeightType::Quantized(block_type);
            assert_eq!(first_non_finite(&clean, weight_type), None, "{block_type:?}");
            let (block, block_bytes) = weight_type.block();
            let offsets = if block_type == GgmlDType::Q8K { &[0][..] } else { f16_scales(block_type) };
            for &at in offsets {
                let mut broken = clean.clone();
                let nan = if block_type == GgmlDType::Q8K { &[0, 0, 0xc0, 0x7f][..] } else { &[0, 0x7e][..] };
                broken[block_bytes * 2 + at..][..nan.len()].copy_from_slice(nan);
                assert_eq!(
                    first_non_finite(&broken, weight_type),
                    Some(block * 2),
                    "{block_type:?} byte {at}"
                );
                // And it is a scale: candle's own dequantization turns it into NaN.
                let storage =
                    candle_core::quantized::QStorage::from_data(broken.into(), &Device::Cpu, block_type);
                let values =
                    QTensor::new(storage.expect("storage"), 1024).and_then(|t| t.dequantize(&Device::Cpu));
                let values = values.and_then(|t| t.to_vec1::<f32>()).expect("values");
                assert!(values.iter().any(|v| v.is_nan()), "{block_type:?} byte {at}");
            }
        }
    }
}
