//! GGML's numbers of element types.

use candle_core::quantized::GgmlDType;

use crate::model::block_format::BlockFormat;
use crate::model::weights::WeightType;

/// The type behind GGML's number, of those that matrices can have.
pub(super) fn weight_type(id: u32) -> Option<WeightType> {
    Some(match id {
        0 => WeightType::F32,
        1 => WeightType::F16,
        30 => WeightType::Bf16,
        2 => WeightType::Quantized(GgmlDType::Q4_0),
        3 => WeightType::Quantized(GgmlDType::Q4_1),
        6 => WeightType::Quantized(GgmlDType::Q5_0),
        7 => WeightType::Quantized(GgmlDType::Q5_1),
        8 => WeightType::Quantized(GgmlDType::Q8_0),
        9 => WeightType::Quantized(GgmlDType::Q8_1),
        10 => WeightType::Quantized(GgmlDType::Q2K),
        11 => WeightType::Quantized(GgmlDType::Q3K),
        12 => WeightType::Quantized(GgmlDType::Q4K),
        13 => WeightType::Quantized(GgmlDType::Q5K),
        14 => WeightType::Quantized(GgmlDType::Q6K),
        15 => WeightType::Quantized(GgmlDType::Q8K),
        16 => WeightType::Block(BlockFormat::Iq2Xxs),
        17 => WeightType::Block(BlockFormat::Iq2Xs),
        18 => WeightType::Block(BlockFormat::Iq3Xxs),
        19 => WeightType::Block(BlockFormat::Iq1S),
        20 => WeightType::Block(BlockFormat::Iq4Nl),
        21 => WeightType::Block(BlockFormat::Iq3S),
        22 => WeightType::Block(BlockFormat::Iq2S),
        23 => WeightType::Block(BlockFormat::Iq4Xs),
        29 => WeightType::Block(BlockFormat::Iq1M),
        34 => WeightType::Block(BlockFormat::Tq1_0),
        35 => WeightType::Block(BlockFormat::Tq2_0),
        39 => WeightType::Block(BlockFormat::Mxfp4),
        _ => return None,
    })
}

/// Name of a GGML type that is not supported, for messages.
pub(super) fn name(id: u32) -> String {
    let name = match id {
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        40 => "NVFP4",
        _ => return format!("GGML type {id}"),
    };
    name.to_owned()
}
