//! GGML's block formats that candle has not: their values against the Python package `gguf`, and models that have them.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use lm_infinite::model::{BlockFormat, Matrix, WeightType};
use lm_infinite::policy::AttentionPolicy;
use lm_infinite::session::{Decoder, Session};
use lm_infinite_runtime::kernels::dequantize::rows_to_f32;
use safetensors::SafeTensors;

use crate::compare::{Tolerance, assert_close, line};
use crate::fixtures::{GgufFile, TinyConfig, TinyLlama};
use crate::support::{golden, load};

/// Of logits: products of many tokens and of one add in another order.
const TOLERANCE: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-4 };

/// GGML's number of each format.
fn type_id(format: BlockFormat) -> u32 {
    match format {
        BlockFormat::Iq2Xxs => 16,
        BlockFormat::Iq2Xs => 17,
        BlockFormat::Iq3Xxs => 18,
        BlockFormat::Iq1S => 19,
        BlockFormat::Iq4Nl => 20,
        BlockFormat::Iq3S => 21,
        BlockFormat::Iq2S => 22,
        BlockFormat::Iq4Xs => 23,
        BlockFormat::Iq1M => 29,
        BlockFormat::Tq1_0 => 34,
        BlockFormat::Tq2_0 => 35,
        BlockFormat::Mxfp4 => 39,
        BlockFormat::ScaledE4M3 => unreachable!("no format of GGML"),
    }
}

/// Blocks of a format and their values.
fn blocks(format: BlockFormat) -> (Vec<u8>, Vec<f32>) {
    let file = std::fs::read(golden("blocks/blocks.safetensors")).expect("read");
    let tensors = SafeTensors::deserialize(&file).expect("safetensors");
    let bytes = tensors.tensor(&format!("{format}.bytes")).expect("bytes");
    let values = tensors.tensor(&format!("{format}.values")).expect("values");
    assert_eq!((bytes.shape()[1], values.shape()[1]), (format.block().1, format.block().0), "{format}");
    let values = values.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    (bytes.data().to_vec(), values.collect())
}

#[test]
fn values_are_those_of_the_python_package() {
    for format in BlockFormat::ALL {
        let (bytes, expected) = blocks(format);
        let (columns, length) = (format.block().0, bytes.len());
        let rows = expected.len() / columns;
        let matrix = Matrix::new(Arc::new(bytes), 0..length, WeightType::Block(format), rows, columns);
        let matrix = matrix.expect("whole blocks");
        let mut got = vec![f32::NAN; expected.len()];
        rows_to_f32(&matrix, 0, &mut got);
        assert_eq!(got, expected, "{format}");
        // A row alone is the same row.
        rows_to_f32(&matrix, 3, &mut got[..columns]);
        assert_eq!(got[..columns], expected[3 * columns..4 * columns], "{format}");
    }
}

/// A file whose wide matrices are blocks of `format`, and the same in floats.
fn files(format: BlockFormat) -> (GgufFile, GgufFile) {
    let config = TinyConfig {
        hidden: 256,
        intermediate: 256,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        ..Default::default()
    };
    let (mut packed, mut plain) = {
        let file = TinyLlama::random(config, 4).gguf(GgmlDType::F32);
        (file.clone(), file)
    };
    let (bytes, values) = blocks(format);
    let (columns, length) = format.block();
    for (packed, plain) in packed.tensors.iter_mut().zip(&mut plain.tensors) {
        if packed.dimensions.len() == 2 {
            let count: u64 = packed.dimensions.iter().product();
            packed.type_id = type_id(format);
            packed.data = bytes.iter().copied().cycle().take(count as usize / columns * length).collect();
            let values = values.iter().cycle().take(count as usize);
            plain.data = values.flat_map(|value| value.to_le_bytes()).collect();
        }
    }
    (packed, plain)
}

fn logits(path: &Path) -> Vec<f32> {
    let model = load(path);
    let decoder = Arc::new(Decoder::new(model.config, model.weights).expect("a whole model"));
    let mut session = Session::new(decoder, AttentionPolicy::default()).expect("a session");
    // Many tokens at once, and one alone: two ways through the weights.
    session.feed(&[5, 9, 17, 33, 65, 100, 7], None).expect("tokens");
    session.feed(&[3], None).expect("a token");
    session.logits().expect("tokens were read")
}

#[test]
fn models_in_blocks_compute_what_they_compute_in_floats() {
    let folder = tempfile::tempdir().expect("a folder");
    for format in BlockFormat::ALL {
        let (packed, plain) = files(format);
        let path = |name: &str| folder.path().join(format!("{name}-{format}.gguf"));
        packed.write(&path("packed"));
        plain.write(&path("plain"));
        let (got, expected) = (logits(&path("packed")), logits(&path("plain")));
        assert!(expected.iter().all(|logit| logit.is_finite()), "{format}");
        assert_close(&format.to_string(), line(&got), line(&expected), TOLERANCE);
    }
}
