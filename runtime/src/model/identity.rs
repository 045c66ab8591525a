//! Which model this is: one digest over weights, configuration and tokenizer, kept in three parts so that a mismatch can
//! be named.
//!
//! Digests are taken of what was read, not of the files that it was read from: of the tensors that the decoder computes
//! with, of the configuration as it was understood, and of the tokenizer with its special tokens and chat template. A model
//! that was put together by hand has a digest like any other; so have the shards of a folder, a GGUF file (whose weights
//! and tokenizer are told apart) and the models that are compiled in. A changed line that nothing reads changes no digest.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::config::ModelConfig;
use super::weights::{
    ExpertWeights, FeedForward, LayerWeights, Linear, Matrix, MlpWeights, ModelWeights, NormWeights,
};
use crate::digest::{self, Hasher};

/// Bytes of a tensor that one thread hashes at a time.
const PIECE: usize = 16 << 20;

/// SHA-256 of the three parts of a model, each as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDigest {
    /// Name, type, shape and bytes of every tensor that the decoder uses.
    pub weights: String,
    /// Every field of [`ModelConfig`], so also a training length that the user gave.
    pub configuration: String,
    /// Vocabulary, rules, special tokens and chat template; `None` of a decoder that was made without a tokenizer.
    pub tokenizer: Option<String>,
}

impl ModelDigest {
    /// The digest of the whole: SHA-256 over the parts.
    pub fn whole(&self) -> String {
        let mut hasher = Hasher::default();
        let tokenizer = self.tokenizer.as_deref().unwrap_or("none");
        hasher.update(format!("{}\n{}\n{tokenizer}\n", self.weights, self.configuration).as_bytes());
        hasher.finish()
    }

    /// The parts in which `self` and `other` differ, in words (`the weights and the tokenizer`); `None` if they are equal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let Self { weights, configuration, tokenizer } = other;
        let tokenizer_part = match (&self.tokenizer, tokenizer) {
            (Some(_), None) | (None, Some(_)) => "the tokenizer (one of the two has none)",
            _ => "the tokenizer",
        };
        let parts = [
            ("the weights", self.weights == *weights),
            ("the configuration", self.configuration == *configuration),
            (tokenizer_part, self.tokenizer == *tokenizer),
        ];
        let different: Vec<&str> = parts.iter().filter(|(_, equal)| !equal).map(|(part, _)| *part).collect();
        match different.as_slice() {
            [] => None,
            [part] => Some((*part).to_owned()),
            [parts @ .., last] => Some(format!("{} and {last}", parts.join(", "))),
        }
    }
}

/// The digest of a configuration: of all its fields, by name, numbers to the last bit.
pub(crate) fn of_configuration(config: &ModelConfig) -> String {
    digest::sha256(format!("{config:?}").as_bytes())
}

/// The digest of all tensors. Reads every byte of them, on all threads.
pub(crate) fn of_weights(weights: &ModelWeights) -> String {
    let ModelWeights { embedding, position_embedding, embedding_norm, layers, final_norm, head, head_bias } =
        weights;
    let mut tensors = vec![Tensor::matrix("embedding", embedding)];
    if let Some(positions) = position_embedding {
        tensors.push(Tensor::matrix("position_embedding", positions));
    }
    if let Some(norm) = embedding_norm {
        Tensor::norm(&mut tensors, "embedding_norm".to_owned(), norm);
    }
    for (index, layer) in layers.iter().enumerate() {
        let LayerWeights { attention_norm, query, key, value, query_key_norm, .. } = layer;
        let LayerWeights {
            attention_post_norm, output, sinks, mlp_norm, feed_forward, mlp_post_norm, ..
        } = layer;
        let name = |role: &str| format!("{index}.{role}");
        for (role, norm) in [
            ("attention_norm", attention_norm),
            ("attention_post_norm", attention_post_norm),
            ("mlp_norm", mlp_norm),
            ("mlp_post_norm", mlp_post_norm),
        ] {
            if let Some(norm) = norm {
                Tensor::norm(&mut tensors, name(role), norm);
            }
        }
        if let Some([of_query, of_key]) = query_key_norm {
            tensors.push(Tensor::vector(name("query_norm"), of_query));
            tensors.push(Tensor::vector(name("key_norm"), of_key));
        }
        if let Some(sinks) = sinks {
            tensors.push(Tensor::vector(name("sinks"), sinks));
        }
        for (role, of) in [("query", query), ("key", key), ("value", value), ("output", output)] {
            Tensor::linear(&mut tensors, name(role), of);
        }
        match feed_forward {
            FeedForward::Dense(weights) => Tensor::mlp(&mut tensors, name(""), weights),
            FeedForward::Experts(ExpertWeights { router, experts }) => {
                Tensor::linear(&mut tensors, name("router"), router);
                for (expert, weights) in experts.iter().enumerate() {
                    Tensor::mlp(&mut tensors, name(&format!("expert {expert}.")), weights);
                }
            }
        }
    }
    Tensor::norm(&mut tensors, "final_norm".to_owned(), final_norm);
    if let Some(bias) = head_bias {
        tensors.push(Tensor::vector("head.bias", bias));
    }
    if std::ptr::eq(head.bytes(), embedding.bytes()) {
        tensors.push(Tensor { name: "head is the embedding".into(), bytes: Data::Vector(&[]) });
    } else {
        tensors.push(Tensor::matrix("head", head));
    }
    let digests: Vec<String> = tensors.par_iter().map(Tensor::digest).collect();
    digest::sha256(digests.concat().as_bytes())
}

struct Tensor<'a> {
    /// Name, type and shape.
    name: String,
    bytes: Data<'a>,
}

enum Data<'a> {
    Matrix(&'a [u8]),
    Vector(&'a [f32]),
}

impl<'a> Tensor<'a> {
    fn matrix(name: impl AsRef<str>, matrix: &'a Matrix) -> Self {
        let (name, kind) = (name.as_ref(), matrix.weight_type());
        let name = format!("{name} {kind:?} [{}, {}]", matrix.rows(), matrix.columns());
        Self { name, bytes: Data::Matrix(matrix.bytes()) }
    }

    fn linear(tensors: &mut Vec<Self>, name: String, Linear { weight, bias }: &'a Linear) {
        tensors.push(Self::matrix(&name, weight));
        if let Some(bias) = bias {
            tensors.push(Self::vector(format!("{name}.bias"), bias));
        }
    }

    fn mlp(tensors: &mut Vec<Self>, before: String, MlpWeights { gate, up, down }: &'a MlpWeights) {
        let gate = gate.as_ref().map(|gate| ("gate", gate));
        for (role, of) in gate.into_iter().chain([("up", up), ("down", down)]) {
            Self::linear(tensors, format!("{before}{role}"), of);
        }
    }

    fn norm(tensors: &mut Vec<Self>, name: String, NormWeights { weight, bias }: &'a NormWeights) {
        if let Some(bias) = bias {
            tensors.push(Self::vector(format!("{name}.bias"), bias));
        }
        tensors.push(Self::vector(name, weight));
    }

    fn vector(name: impl AsRef<str>, values: &'a [f32]) -> Self {
        Self { name: format!("{} F32 [{}]", name.as_ref(), values.len()), bytes: Data::Vector(values) }
    }

    /// SHA-256 over the name and the digests of pieces of the bytes.
    fn digest(&self) -> String {
        let pieces: Vec<String> = match self.bytes {
            Data::Matrix(bytes) => bytes.par_chunks(PIECE).map(digest::sha256).collect(),
            Data::Vector(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                vec![digest::sha256(&bytes)]
            }
        };
        digest::sha256(format!("{}\n{}", self.name, pieces.concat()).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(weights: &str, configuration: &str, tokenizer: Option<&str>) -> ModelDigest {
        ModelDigest {
            weights: weights.into(),
            configuration: configuration.into(),
            tokenizer: tokenizer.map(Into::into),
        }
    }

    #[test]
    fn every_part_is_in_the_whole_and_is_named() {
        let ours = digest("a", "b", Some("c"));
        assert_eq!(ours.difference(&ours.clone()), None);
        let all = "the weights, the configuration and the tokenizer (one of the two has none)";
        for (other, words) in [
            (digest("x", "b", Some("c")), "the weights"),
            (digest("a", "x", Some("c")), "the configuration"),
            (digest("a", "b", Some("x")), "the tokenizer"),
            (digest("x", "b", Some("x")), "the weights and the tokenizer"),
            (digest("x", "y", None), all),
        ] {
            assert_eq!(ours.difference(&other).as_deref(), Some(words));
            assert_eq!(other.difference(&ours).as_deref(), Some(words));
            assert_ne!(ours.whole(), other.whole());
        }
        assert_ne!(digest("a", "b", None).whole(), digest("a", "b", Some("b")).whole());
    }

    #[test]
    fn one_bit_of_any_tensor_and_any_shape_changes_the_digest() {
        let cache = crate::hub::Cache::open().expect("a folder");
        let weights = crate::checkpoint::load("tiny-rope", &cache).expect("a model").weights;
        let before = of_weights(&weights);
        assert_eq!(of_weights(&weights.clone()), before);
        let flip = |matrix: &Matrix, rows: usize| {
            let mut bytes = matrix.bytes().to_vec();
            if let Some(byte) = bytes.last_mut().filter(|_| rows == matrix.rows()) {
                *byte ^= 1;
            }
            let (range, columns) = (0..bytes.len(), matrix.rows() * matrix.columns() / rows);
            Matrix::new(std::sync::Arc::new(bytes), range, matrix.weight_type(), rows, columns).expect("fits")
        };
        type Change<'a> = Box<dyn Fn(&mut ModelWeights) + 'a>;
        let changes: Vec<Change<'_>> = vec![
            Box::new(|weights| weights.embedding = flip(&weights.embedding, weights.embedding.rows())),
            Box::new(|weights| weights.head = flip(&weights.head, weights.head.rows())),
            Box::new(|weights| weights.final_norm.weight[0] = -weights.final_norm.weight[0]),
            Box::new(|weights| weights.final_norm.bias = Some(vec![0.0; weights.final_norm.weight.len()])),
            Box::new(|weights| weights.layers[1].mlp_norm.as_mut().expect("it").weight[3] += 1e-6),
            Box::new(|weights| weights.layers[1].mlp_norm = None),
            Box::new(|weights| weights.layers[1].mlp_post_norm = Some(weights.final_norm.clone())),
            Box::new(|weights| weights.layers[1].attention_post_norm = Some(weights.final_norm.clone())),
            Box::new(|weights| weights.layers[1].query_key_norm = Some([vec![1.0; 32], vec![1.0; 32]])),
            Box::new(|weights| weights.embedding_norm = Some(weights.final_norm.clone())),
            Box::new(|weights| weights.position_embedding = Some(weights.embedding.clone())),
            Box::new(|weights| weights.head_bias = Some(vec![0.0; 1024])),
            Box::new(|weights| weights.layers.swap(0, 1)),
            Box::new(|weights| {
                let mlp = weights.layers[0].feed_forward.dense_mut().expect("one");
                let gate = &mut mlp.gate.as_mut().expect("it").weight;
                *gate = flip(gate, gate.rows() / 2);
            }),
            Box::new(|weights| {
                let mlp = weights.layers[0].feed_forward.dense_mut().expect("one");
                std::mem::swap(mlp.gate.as_mut().expect("it"), &mut mlp.up);
            }),
            Box::new(|weights| {
                weights.layers[0].feed_forward.dense_mut().expect("one").down.bias = Some(vec![0.0; 128]);
            }),
            Box::new(|weights| weights.layers[0].sinks = Some(vec![0.0; 4])),
            Box::new(|weights| {
                let experts = vec![weights.layers[0].feed_forward.dense().expect("one").clone()];
                let router = weights.layers[0].query.clone();
                weights.layers[0].feed_forward = FeedForward::Experts(ExpertWeights { router, experts });
            }),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = weights.clone();
            change(&mut changed);
            assert_ne!(of_weights(&changed), before, "change {index}");
        }
    }
}
