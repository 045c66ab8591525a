//! Families of models in Hugging Face folders: one file each, which says how `config.json` becomes a
//! [`ModelConfig`](crate::model::config::ModelConfig) and tensors become [`ModelWeights`](crate::model::weights::ModelWeights). How to add one: `docs/add-a-family.md`.

mod bloom;
mod cohere;
mod falcon;
mod family;
pub(super) mod fields;
mod gemma;
mod glm;
mod gpt2;
mod gpt_neox;
mod gpt_oss;
mod gptj;
mod granite;
mod llama;
mod llama_like;
mod mixtral;
mod mpt;
mod olmo2;
mod phi;
mod phi3;
mod smollm3;
mod stablelm;
pub(super) mod unread;

pub(super) use family::Family;

const FAMILIES: [Family; 18] = [
    llama::FAMILY,
    gpt2::FAMILY,
    gptj::FAMILY,
    mpt::FAMILY,
    gpt_neox::FAMILY,
    falcon::FAMILY,
    bloom::FAMILY,
    gemma::FAMILY,
    gpt_oss::FAMILY,
    mixtral::FAMILY,
    granite::FAMILY,
    olmo2::FAMILY,
    smollm3::FAMILY,
    phi3::FAMILY,
    phi::FAMILY,
    stablelm::FAMILY,
    cohere::FAMILY,
    glm::FAMILY,
];

/// The family of a model type.
pub(super) fn of(model_type: &str) -> Option<&'static Family> {
    const ALL: &[Family] = &FAMILIES;
    ALL.iter().find(|family| family.model_types.contains(&model_type))
}

/// All model types that are read.
pub(super) fn model_types() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|family| family.model_types).copied().collect()
}
