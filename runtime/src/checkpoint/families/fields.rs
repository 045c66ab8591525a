//! Fields of a `config.json`, with the defaults of transformers.

use crate::checkpoint::check;
use crate::error::{Error, Result};
use crate::formats::json::Json;
use crate::model::config::Mlp;

/// Fields with transformers' defaults, which are told.
pub(in crate::checkpoint) struct Fields<'a> {
    /// The file.
    pub json: &'a Json,
    /// Which were not there, and what was taken.
    pub absent: Vec<String>,
}

impl Fields<'_> {
    pub(super) fn integer(&mut self, key: &str, default: u64) -> Result<u64> {
        Ok(self.json.integer(key)?.unwrap_or_else(|| {
            self.absent.push(format!("{key} = {default}"));
            default
        }))
    }

    /// The same under either of two names: that of the model type, and the one that all have.
    pub(super) fn integer_of(&mut self, names: [&str; 2], default: u64) -> Result<u64> {
        match self.json.integer(names[1])? {
            Some(value) if self.json.integer(names[0])?.is_none() => Ok(value),
            _ => self.integer(names[0], default),
        }
    }

    pub(super) fn width_of(&mut self, names: [&str; 2], default: u64) -> Result<usize> {
        let value = self.integer_of(names, default)?;
        check::size(self.json.path(), names[0], value, check::WIDTHS)
    }

    /// A number of layers.
    pub(super) fn layers_of(&mut self, names: [&str; 2], default: u64) -> Result<usize> {
        let value = self.integer_of(names, default)?;
        check::size(self.json.path(), names[0], value, check::LAYERS)
    }

    /// A length in tokens.
    pub(super) fn length_of(&mut self, names: [&str; 2], default: u64) -> Result<u64> {
        let value = self.integer_of(names, default)?;
        Ok(check::size(self.json.path(), names[0], value, check::LENGTHS)? as u64)
    }

    /// Is it set? Defaults of flags are part of the model type and not told.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.json.boolean(key)?.unwrap_or(default))
    }

    /// The MLP without a gate whose activation transformers knows by this name.
    pub(super) fn activation(&self, key: &str, default: &str) -> Result<Mlp> {
        match self.json.text(key)?.unwrap_or(default) {
            "gelu" => Ok(Mlp::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Mlp::GeluTanh),
            other => {
                let expected = "gelu, gelu_new, gelu_fast or gelu_pytorch_tanh";
                Err(self.json.malformed(key, expected, other))
            }
        }
    }

    /// Refuses `key` where it asks for what is not computed.
    pub(super) fn refuse_unless(&self, key: &str, default: bool, wanted: bool) -> Result<()> {
        match self.flag(key, default)? {
            given if given == wanted => Ok(()),
            given => {
                let detail = format!("{}: {} = {given}", self.json.path().display(), self.json.name(key));
                Err(Error::unsupported(format!("`{key}`"), detail))
            }
        }
    }

    pub(super) fn width(&mut self, key: &str, default: u64) -> Result<usize> {
        let value = self.integer(key, default)?;
        check::size(self.json.path(), key, value, check::WIDTHS)
    }

    pub(super) fn number(&mut self, key: &str, default: f64) -> Result<f64> {
        Ok(self.json.number(key)?.unwrap_or_else(|| {
            self.absent.push(format!("{key} = {default:e}"));
            default
        }))
    }
}
