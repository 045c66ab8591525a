//! What is on screen, as files or on the clipboard: made on a thread of its own, so that no frame waits for a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use eframe::egui::ColorImage;
use lm_infinite::diagnose::{Diagnosis, Head};
use lm_infinite::figures;
use lm_infinite::figures::{Format, PlaceMap, Sizing};
use lm_infinite::files::write_whole;
use lm_infinite::results::{self, ResultFolder, RunInfo, Source, Storable};
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;

use crate::command_line;
use crate::inputs::Inputs;
use crate::model;
use crate::task::{Task, Wake};
use crate::views::pair::Pair;
use crate::words::grouped;

/// What becomes of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines that scale.
    Svg,
    /// Pixels.
    Png,
    /// The numbers behind it, as a table.
    Csv,
    /// The numbers behind it, as an array.
    Npy,
    /// Pixels on the clipboard.
    Copy,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One figure, of all heads or of one.
    Figure(&'static str, Form),
    /// This map, as it is on screen; the window makes a [`Self::Place`] of it.
    Shown(ShownMap, Form),
    /// A map that a view has made.
    Place(PlaceFile, Form),
    /// A table of what is on screen.
    Table(TableFile),
    /// The result folder that `diagnose` writes.
    Everything,
}

/// A map that is on screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownMap {
    /// Of this policy, from 0.
    Side(usize),
    /// Of one policy less another.
    Difference(Pair),
}

/// A map as it is on screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Name of the file, without its end.
    pub name: String,
    /// The picture.
    pub map: PlaceMap,
    /// The numbers behind its cells: rows are queries, columns are keys. What is not attended is −∞, of probabilities 0; what is not
    /// finite or was not looked at is NaN. Of a difference, what is not attended by both is NaN, too. [side, side]
    pub values: Array2<f32>,
}

/// The same, shared; two are equal if they are one.
#[derive(Clone, Debug)]
pub struct PlaceFile(pub Arc<Place>);

impl PartialEq for PlaceFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for PlaceFile {}

/// A text that a view has made: a table, or what was generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Name of the file, without its end.
    pub name: String,
    /// Its end.
    pub extension: &'static str,
    /// What is in it.
    pub text: Arc<str>,
}

/// A figure that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// One that `diagnose` writes: its index in the menu.
    Figure(usize),
    /// A map, as it is on screen.
    Map(ShownMap),
}

/// What the fields of the small window say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controls {
    /// It is open.
    pub open: bool,
    /// What is to be written.
    pub figure: Chosen,
    /// It has a size of its own: width and height, in pixels of 1/96 inch.
    pub sized: bool,
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
    /// Dots per inch of PNG, and of what is copied.
    pub dpi: u32,
    /// Where one figure goes.
    pub folder: String,
    /// What everything becomes.
    pub whole: String,
}

impl Controls {
    /// How large a file is to be.
    pub fn sizing(&self) -> Sizing {
        Sizing { size: self.sized.then_some((self.width, self.height)), dpi: self.dpi }
    }
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
    /// How large a figure is.
    pub sizing: Sizing,
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
            let Request { wanted, folder, head, diagnosis, origin, sizing } = request;
            let done = match wanted {
                Wanted::Figure(name, form) => figure(&diagnosis, name, (form, sizing), head, &folder),
                Wanted::Shown(..) => Err(anyhow::anyhow!("the map is not on screen any more")),
                Wanted::Place(PlaceFile(place), form) => {
                    write_place(&diagnosis, &place, (form, sizing), &folder)
                }
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
        "Only {read} of {tokens} tokens have been read.\nFigures and tables say so; no result folder is written."
    )
}

fn figure(
    whole: &Diagnosis,
    name: &str,
    (form, sizing): (Form, Sizing),
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
    anyhow::ensure!(form != Form::Npy, "this figure has no array");
    let draw = |path: &Path, format: Format| {
        let drawn = figures::draw_sized(diagnosis, name, path, format, sizing)?;
        anyhow::ensure!(drawn, "there is nothing to draw yet");
        Ok(())
    };
    drawn(form, target, draw)
}

/// Draws to a file, or onto the clipboard.
fn drawn(
    form: Form,
    target: impl Fn(&str) -> PathBuf,
    draw: impl Fn(&Path, Format) -> anyhow::Result<()>,
) -> anyhow::Result<Done> {
    if form == Form::Copy {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("figure.png");
        draw(&path, Format::Png)?;
        let picture = image::open(path)?.to_rgba8();
        let size = [picture.width() as usize, picture.height() as usize];
        return Ok(Done::Picture(ColorImage::from_rgba_unmultiplied(size, picture.as_raw())));
    }
    let format = if form == Form::Svg { Format::Svg } else { Format::Png };
    let target = target(format.extension());
    draw(&target, format)?;
    Ok(Done::Written(target))
}

/// The map that is on screen, as lines, pixels or an array.
fn write_place(
    diagnosis: &Diagnosis,
    place: &Place,
    (form, sizing): (Form, Sizing),
    folder: &Path,
) -> anyhow::Result<Done> {
    let target = |extension: &str| folder.join(format!("{}{}.{extension}", place.name, of_a_part(diagnosis)));
    if form != Form::Copy {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    match form {
        Form::Npy => {
            let (target, mut bytes) = (target("npy"), Vec::new());
            place.values.write_npy(&mut bytes)?;
            write_whole(&target, &bytes)?;
            Ok(Done::Written(target))
        }
        Form::Csv => anyhow::bail!("a map has no table; NPY has its numbers"),
        _ => drawn(form, target, |path, format| Ok(place.map.write(path, format, sizing)?)),
    }
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
    let target = folder.join(format!("{}{}.{}", table.name, of_a_part(diagnosis), table.extension));
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
    let model = model::load(settings)?;
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
