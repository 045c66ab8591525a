//! What is on screen, as files or on the clipboard: made on a thread of its own, so that no frame waits for a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use eframe::egui::ColorImage;
use lm_infinite::diagnose::{Diagnosis, Head};
use lm_infinite::files::write_whole;
use lm_infinite::hub::Cache;
use lm_infinite::results::{self, ResultFolder, RunInfo, Source, Storable};
use lm_infinite::{checkpoint, figures};

use crate::command_line;
use crate::inputs::Inputs;
use crate::task::{Task, Wake};
use crate::words::grouped;

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
    /// A table of what is on screen.
    Table(TableFile),
    /// The result folder that `diagnose` writes.
    Everything,
}

/// A table that a view has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Name of the file, without its end.
    pub name: String,
    /// What is in it.
    pub text: Arc<str>,
}

/// What the fields of the small window say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controls {
    /// It is open.
    pub open: bool,
    /// Index of the figure in the menu.
    pub figure: usize,
    /// Where one figure goes.
    pub folder: String,
    /// What everything becomes.
    pub whole: String,
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

/// What to write, and of what.
#[derive(Clone)]
pub struct Request {
    /// What is asked for.
    pub wanted: Wanted,
    /// A figure goes into this folder, everything becomes this folder.
    pub folder: PathBuf,
    /// The head that figures of one head are of.
    pub head: Option<Head>,
    /// What is on screen.
    pub diagnosis: Arc<Diagnosis>,
    /// Where that comes from.
    pub origin: Origin,
}

/// The newest export.
pub struct Export(Task<Request, Done>);

impl Default for Export {
    fn default() -> Self {
        Self(Task::newest("export"))
    }
}

impl Export {
    /// Begins.
    pub fn start(&mut self, request: Request, wake: Wake) {
        self.0.ask(request, wake, |request, worker| {
            let Request { wanted, folder, head, diagnosis, origin } = request;
            let done = match wanted {
                Wanted::Figure(name, form) => figure(&diagnosis, name, form, head, &folder),
                Wanted::Table(table) => write_table(&diagnosis, &table, &folder),
                Wanted::Everything => everything(&diagnosis, &origin, &folder),
            };
            worker.send(done?);
            Ok(())
        });
    }

    /// Whether files are being written.
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// What came of it, once: what was made, or why nothing was.
    pub fn done(&mut self) -> Option<Result<Done, String>> {
        if !self.0.poll() || self.0.is_running() {
            return None;
        }
        let failure = self.0.failure().map(str::to_owned);
        let done = self.0.take().map(|(_, done)| Ok(done));
        failure.map(Err).or(done)
    }
}

/// What is said of the export of a part of the text.
pub fn partial(diagnosis: &Diagnosis) -> String {
    let (read, tokens) = (grouped(diagnosis.tokens_read()), grouped(diagnosis.tokens));
    format!(
        "Only {read} of {tokens} tokens have been read: figures and tables are marked as partial, and a result folder is not \
         written."
    )
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
    let mut suffix = match (head, &one) {
        (Some((layer, head)), Some(_)) => format!("_layer{layer}_head{head}"),
        _ => String::new(),
    };
    suffix.push_str(&of_a_part(whole));
    let target = |extension: &str| folder.join(format!("{name}{suffix}.{extension}"));
    if form != Form::Copy {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    if form == Form::Csv {
        let table = results::table(diagnosis, &format!("{name}.csv")).context("this figure has no table")?;
        let target = target("csv");
        write_whole(&target, table.as_bytes())?;
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
    write_whole(&target, &std::fs::read(path)?)?;
    Ok(Done::Written(target))
}

/// At the end of a name: tables have no title that could say it.
fn of_a_part(diagnosis: &Diagnosis) -> String {
    if diagnosis.is_partial() {
        format!("_partial_{}_of_{}", diagnosis.tokens_read(), diagnosis.tokens)
    } else {
        String::new()
    }
}

fn write_table(diagnosis: &Diagnosis, table: &TableFile, folder: &Path) -> anyhow::Result<Done> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let target = folder.join(format!("{}{}.csv", table.name, of_a_part(diagnosis)));
    write_whole(&target, table.text.as_bytes())?;
    Ok(Done::Written(target))
}

fn everything(diagnosis: &Diagnosis, origin: &Origin, folder: &Path) -> anyhow::Result<Done> {
    anyhow::ensure!(!diagnosis.is_partial(), partial(diagnosis));
    results::check::<Diagnosis>(folder, Diagnosis::KIND)?;
    let info = match origin {
        Origin::Inputs(inputs) => Arc::new(info(inputs, folder)?),
        Origin::Folder(info) => info.clone(),
    };
    ResultFolder::write(folder, diagnosis, &info)?;
    Ok(Done::Written(folder.to_owned()))
}

/// How to repeat the run: as the command that writes the same folder.
fn info(inputs: &Inputs, folder: &Path) -> anyhow::Result<RunInfo> {
    let settings = &inputs.settings;
    let policies = inputs.policies.iter().map(|policy| policy.label.as_str());
    let mut command = command_line::of(settings, policies, inputs.tokens.len() as u64);
    command.extend(["--out".to_owned(), folder.display().to_string()]);
    let sample = inputs.tokens.sample();
    let model = checkpoint::load(&settings.model, &Cache::open()?)?;
    Ok(RunInfo::new(
        command,
        Source { name: model.name.clone(), sha256: None },
        Source { name: settings.text_name().to_owned(), sha256: None },
        inputs.tokens.len() as u64,
        inputs.policies.iter().map(|spec| (spec.label.clone(), spec.policy.clone())),
        0,
    )
    .with_text(&sample.read, sample.repeated_from, &[inputs.notes.clone(), sample.notes].concat())
    .of_model(model.digest()?))
}
