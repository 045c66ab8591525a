//! What is on screen, as files or on the clipboard: made on a thread of its own, so that no frame waits for a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context as _;
use eframe::egui::{ColorImage, Context};
use lm_infinite::diagnose::{Diagnosis, Head};
use lm_infinite::hub::Cache;
use lm_infinite::results::{self, RunInfo, Source};
use lm_infinite::{checkpoint, digest, figures};

use crate::job::Inputs;

/// What becomes of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines that scale.
    Svg,
    /// Pixels.
    Png,
    /// The numbers behind it.
    Csv,
    /// Pixels on the clipboard.
    Copy,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One figure, of all heads or of one.
    Figure(&'static str, Form),
    /// The result folder that `diagnose` writes.
    Everything,
}

/// Where a diagnosis comes from: what its `run.json` says.
#[derive(Clone)]
pub enum Origin {
    /// It was made here.
    Inputs(Arc<Inputs>),
    /// It was read from a result folder.
    Folder(Arc<RunInfo>),
}

/// What came of it.
pub enum Done {
    /// Files, or a folder.
    Written(PathBuf),
    /// A picture for the clipboard.
    Picture(ColorImage),
}

/// A finished or running export.
pub struct Export(Receiver<anyhow::Result<Done>>);

impl Export {
    /// Begins: a figure goes into `folder`, everything becomes `folder`. `ctx` is asked to repaint at the end.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(
        wanted: Wanted,
        folder: PathBuf,
        head: Option<Head>,
        diagnosis: Arc<Diagnosis>,
        origin: Origin,
        ctx: Context,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(1);
        let work = move || {
            let done = match wanted {
                Wanted::Figure(name, form) => figure(&diagnosis, name, form, head, &folder),
                Wanted::Everything => everything(&diagnosis, &origin, &folder),
            };
            // Nobody waits for it any more where the window was closed.
            let _ = sender.send(done);
            ctx.request_repaint();
        };
        std::thread::Builder::new().name("export".into()).spawn(work)?;
        Ok(Self(receiver))
    }

    /// What came of it, once it is there.
    pub fn done(&self) -> Option<anyhow::Result<Done>> {
        self.0.try_recv().ok()
    }
}

fn figure(
    whole: &Diagnosis,
    name: &str,
    form: Form,
    head: Option<Head>,
    folder: &Path,
) -> anyhow::Result<Done> {
    let head = head.filter(|_| figures::OF_HEADS.contains(&name));
    let one = head.and_then(|head| whole.of_head(head));
    let diagnosis = one.as_ref().unwrap_or(whole);
    let suffix = match (head, &one) {
        (Some((layer, head)), Some(_)) => format!("_layer{layer}_head{head}"),
        _ => String::new(),
    };
    let target = |extension: &str| folder.join(format!("{name}{suffix}.{extension}"));
    if form != Form::Copy {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    if form == Form::Csv {
        let table = results::table(diagnosis, &format!("{name}.csv")).context("this figure has no table")?;
        let target = target("csv");
        std::fs::write(&target, table).with_context(|| target.display().to_string())?;
        return Ok(Done::Written(target));
    }
    let drawn = tempfile::tempdir()?;
    let paths = figures::draw_named(diagnosis, name, drawn.path())?;
    let extension = if form == Form::Svg { "svg" } else { "png" };
    let path = paths.iter().find(|path| path.extension().is_some_and(|found| found == extension));
    let path = path.context("there is nothing to draw yet")?;
    if form == Form::Copy {
        let picture = image::open(path)?.to_rgba8();
        let size = [picture.width() as usize, picture.height() as usize];
        return Ok(Done::Picture(ColorImage::from_rgba_unmultiplied(size, picture.as_raw())));
    }
    let target = target(extension);
    std::fs::copy(path, &target).with_context(|| target.display().to_string())?;
    Ok(Done::Written(target))
}

fn everything(diagnosis: &Diagnosis, origin: &Origin, folder: &Path) -> anyhow::Result<Done> {
    results::check_target(folder)?;
    let info = match origin {
        Origin::Inputs(inputs) => Arc::new(info(inputs, folder)?),
        Origin::Folder(info) => info.clone(),
    };
    results::write(folder, diagnosis, &info)?;
    Ok(Done::Written(folder.to_owned()))
}

/// How to repeat the run: as the command that writes the same folder.
fn info(inputs: &Inputs, folder: &Path) -> anyhow::Result<RunInfo> {
    let settings = &inputs.settings;
    let mut command = vec!["lm-infinite".to_owned(), "diagnose".to_owned()];
    let mut option = |name: &str, value: &str| command.extend([name.to_owned(), value.to_owned()]);
    option("--model", &settings.model);
    if settings.text_name() != lm_infinite::text::EMBEDDED_TEXT_NAME {
        option("--text", settings.text_name());
    }
    for policy in &inputs.policies {
        option("--policy", &policy.label);
    }
    option("--tokens", &inputs.tokens.len().to_string());
    option("--out", &folder.display().to_string());
    let model = checkpoint::load(&settings.model, &Cache::open()?)?;
    Ok(RunInfo::new(
        command,
        Source { name: model.name.clone(), sha256: None },
        Source {
            name: settings.text_name().to_owned(),
            sha256: Some(digest::sha256(inputs.text.as_bytes())),
        },
        inputs.tokens.len() as u64,
        inputs.policies.iter().map(|spec| (spec.label.clone(), spec.policy.clone())),
        0,
    )
    .of_model(model.digest()?))
}
