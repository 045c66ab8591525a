//! From what a user writes behind `--model` to a model that can run.

use std::path::{Path, PathBuf};

use super::loaded::LoadedModel;
use super::{gguf_folder, random_weights, reader_gguf, reader_hf};
use crate::error::{Error, Result};
use crate::formats::gguf::{self, Gguf};
use crate::formats::{mapped, safetensors};
use crate::hub::{self, Cache};
use crate::tokenizer::{ChatTemplate, Tokenizer};

/// Where a reference points to.
pub(super) struct Located {
    pub name: String,
    pub path: PathBuf,
    pub format: Format,
}

/// Formats of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gguf,
    Folder,
}

/// Loads `reference`: an embedded name (`tiny-rope`), a pulled name (`smollm2`), a `.gguf` file (any part of a split one), a
/// folder with one such model in it, a Hugging Face folder, the folder of a repository in Hugging Face's cache,
/// `hf:org/name[@revision][:file.gguf]`, which is downloaded unless that cache has it, or `random:SHAPE[:TYPE]`.
///
/// Weights stay in the mapped file; each is checked for shape, type and finite values. Errors name the file and what in
/// it is wrong; an unknown reference is answered with those that are known.
pub fn load(reference: &str, cache: &Cache) -> Result<LoadedModel> {
    load_ignoring(reference, cache, &[])
}

/// As [`load()`], but fields of `config.json`, or keys of the metadata of a GGUF file, that are named in `ignored` are passed over, with
/// a note, where nothing is known to read them; without that, they are refused.
///
/// # Errors
/// As [`load()`]; a name of something that is read, that changes nothing, or that the file has not.
pub fn load_ignoring(reference: &str, cache: &Cache, ignored: &[String]) -> Result<LoadedModel> {
    if let Some(shape) = reference.strip_prefix(random_weights::SCHEME) {
        if let Some(name) = ignored.first() {
            return Err(Error::input(format!("--ignore-field {name}"), "random weights come without a file"));
        }
        return random_weights::load(reference, shape);
    }
    let Located { name, path, format } = locate(reference, cache)?;
    match format {
        Format::Gguf => load_gguf(name, path, ignored),
        Format::Folder => load_folder(name, path, ignored),
    }
}

/// Finds the file or folder behind `reference`.
pub(super) fn locate(reference: &str, cache: &Cache) -> Result<Located> {
    if let Some(repository) = reference.strip_prefix("hf:") {
        let path = hub::hugging_face(repository, cache)?;
        let format = if path.is_file() { Format::Gguf } else { Format::Folder };
        return Ok(Located { name: reference.to_owned(), path, format });
    }
    if let Some(model) = hub::embedded(reference) {
        return Ok(Located { name: reference.to_owned(), path: model.folder(), format: Format::Folder });
    }
    if let Some(known) = hub::known(reference) {
        let path = cache.path_of(known);
        if !path.is_file() {
            let reason = format!("not downloaded yet; run `lm-infinite models pull {reference}`");
            return Err(Error::input(format!("model `{reference}`"), reason));
        }
        return Ok(Located { name: reference.to_owned(), path, format: Format::Gguf });
    }
    let mut path = PathBuf::from(reference);
    if let Some(snapshot) = hub::snapshot_of(&path)? {
        path = snapshot;
    }
    let name = hub::name_of_path(&path);
    if path.is_dir() {
        return Ok(match gguf_folder::model_in(&path)? {
            Some(path) => Located { name, path, format: Format::Gguf },
            None => Located { name, path, format: Format::Folder },
        });
    }
    if path.is_file() {
        return match starts_like_gguf(&path)? {
            true => Ok(Located { name, path, format: Format::Gguf }),
            false if path.extension().is_some_and(|extension| extension == "safetensors") => {
                let reason = "give the folder that holds it, config.json and tokenizer.json";
                Err(Error::input(format!("model `{reference}`"), reason))
            }
            false => Err(Error::malformed(&path, "magic", "\"GGUF\"", "something else")),
        };
    }
    let embedded: Vec<&str> = hub::EMBEDDED.iter().map(|model| model.name).collect();
    let pulled: Vec<&str> = hub::KNOWN.iter().map(|known| known.name).collect();
    let reason = format!(
        "no model of this name and no such file or folder; known are {} (built in), {} (`lm-infinite models pull NAME` \
         downloads one), any .gguf file, any Hugging Face folder, hf:org/name, and random:SHAPE[:TYPE]",
        embedded.join(", "),
        pulled.join(", ")
    );
    Err(Error::input(format!("model `{reference}`"), reason))
}

fn starts_like_gguf(path: &Path) -> Result<bool> {
    use std::io::Read;
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    file.take(256).read_to_end(&mut start).map_err(Error::io(path))?;
    mapped::refuse_substitute(path, &start)?;
    Ok(start.starts_with(&gguf::MAGIC))
}

fn load_gguf(name: String, path: PathBuf, ignored: &[String]) -> Result<LoadedModel> {
    let gguf = Gguf::open(&path)?;
    let (config, mut notes) = reader_gguf::config(&gguf)?;
    notes.extend(reader_gguf::check_unread(&gguf, ignored)?);
    let weights = reader_gguf::weights(&gguf, &config)?;
    let tokenizer = Tokenizer::from_gguf(&gguf.metadata, config.vocabulary)?;
    let chat_template = ChatTemplate::from_gguf(&gguf.metadata)?;
    let of_template = chat_template.as_ref().map_or(&[][..], ChatTemplate::notes);
    Ok(LoadedModel {
        name,
        notes: [&gguf.notes[..], &notes, tokenizer.notes(), of_template].concat(),
        chat_template,
        tokenizer,
        path,
        config,
        weights,
    })
}

fn load_folder(name: String, path: PathBuf, ignored: &[String]) -> Result<LoadedModel> {
    let mut folder = reader_hf::open(&path)?;
    let mut tensors = safetensors::open(&path)?;
    folder.look_at_head(&tensors)?;
    folder.look_at_scales(&mut tensors)?;
    let weights = folder.weights(&tensors, ignored)?;
    let tokenizer = Tokenizer::from_folder(&path, folder.config.vocabulary)?;
    let chat_template = ChatTemplate::from_folder(&path)?;
    let of_template = chat_template.as_ref().map_or(&[][..], ChatTemplate::notes);
    Ok(LoadedModel {
        name,
        notes: [&safetensors::notes(&path, &tensors)[..], &folder.notes, tokenizer.notes(), of_template]
            .concat(),
        chat_template,
        tokenizer,
        config: folder.config,
        weights,
        path,
    })
}
