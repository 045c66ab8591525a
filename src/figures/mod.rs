//! Figures: pure functions of a result. Nothing is measured here, and a figure can be drawn again from a stored result.
//!
//! plotters serves as the drawing backend (SVG and bitmap); layout, dashes, markers and legends are ours, so that both
//! formats and all sizes look the same.

mod ablation;
mod axes;
mod band;
mod bench;
mod canvas;
mod causes;
mod curves;
mod heads;
mod heat_map;
mod lines;
mod long;
mod maps;
mod pixels;
mod place;
mod points;
mod prediction;
mod rows;
mod sinks;
mod sized;
mod states;
mod subject;
mod theme;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use canvas::Bitmap;
pub use canvas::FONT;
pub use heat_map::{HeatMap, Panel};
pub use place::{PlaceLine, PlaceMap};
pub use points::{PointSeries, Points};
pub use rows::{Column, Rows};
pub use sized::{Format, Sizing};
pub use theme::{Color, dark_rules};

use heads::HeadsFigure;
use lines::LineFigure;
use maps::MapsFigure;
use sized::Figure;
use states::StatesFigure;

use crate::ablation::Ablation;
use crate::bench::BenchResult;
use crate::diagnose::{Diagnosis, Head, head_name};
use crate::error::{Error, Result};
use crate::long_run::LongResult;

/// A figure that is data: what tasks store and draw again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chart {
    /// Points joined by lines.
    Points(Points),
    /// Tables of shares as colours.
    HeatMap(HeatMap),
    /// One row for each method, one axis for each quantity.
    Rows(Rows),
}

/// How a figure of curves follows from a diagnosis.
type Curves = fn(&Diagnosis) -> LineFigure;

/// The figures of curves, by name.
const CURVES: [(&str, Curves); 6] = [
    ("nll_by_position", curves::nll),
    ("logits_by_distance", curves::logits),
    ("logits_of_start_tokens", curves::logits_start),
    ("entropy_by_length", curves::entropy),
    ("entropy_bounds", curves::entropy_bounds),
    ("start_mass_by_position", curves::start_mass),
];

/// The same of a prediction, where there is one.
type Prediction = fn(&Diagnosis) -> Option<LineFigure>;

/// The figures of a prediction, by name.
const PREDICTED: [(&str, Prediction); 3] = [
    ("predicted_loss", prediction::loss),
    ("predicted_logits", prediction::logits),
    ("predicted_entropy", prediction::entropy),
];

/// Draws every figure of `diagnosis` into `folder`, each as SVG and as PNG at twice the layout's size. Returns the paths.
pub fn draw_all(diagnosis: &Diagnosis, folder: &Path) -> Result<Vec<PathBuf>> {
    draw(diagnosis, &|_| true, folder)
}

/// Draws the figure called `name`, as `draw_all` would, into `folder`. Returns the paths: none if `diagnosis` has no such
/// figure.
pub fn draw_named(diagnosis: &Diagnosis, name: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    draw(diagnosis, &|figure| figure == name, folder)
}

/// The figures that one head has too, with curves of its own or its attention map: see [`Diagnosis::of_head`].
pub const OF_HEADS: [&str; 5] = [
    "logits_by_distance",
    "logits_of_start_tokens",
    "entropy_by_length",
    "start_mass_by_position",
    "attention_maps",
];

/// Is `name` that of a file that [`draw_head`] writes?
pub fn is_of_a_head(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = || {
        let (figure, rest) = name.split_once("_layer")?;
        let (layer, rest) = rest.split_once("_head")?;
        let (head, format) = rest.split_once('.')?;
        Some((figure, layer, head, format))
    };
    parts().is_some_and(|(figure, layer, head, format)| {
        OF_HEADS.contains(&figure) && digits(layer) && digits(head) && ["svg", "png"].contains(&format)
    })
}

/// Draws [`OF_HEADS`] for one head into `folder`, called `NAME_layerL_headH`. Returns the paths.
///
/// # Errors
/// A head that the model does not have; a folder that cannot be written.
pub fn draw_head(diagnosis: &Diagnosis, (layer, head): Head, folder: &Path) -> Result<Vec<PathBuf>> {
    let missing = || Error::input(head_name((layer, head)), "the model has no such layer or head");
    let one = diagnosis.of_head((layer, head)).ok_or_else(missing)?;
    let drawn = tempfile::tempdir_in(folder).map_err(Error::io(folder))?;
    let mut written = Vec::new();
    for path in draw(&one, &|figure| OF_HEADS.contains(&figure), drawn.path())? {
        let (name, format) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
        let (name, format) = (name.to_string_lossy(), format.to_string_lossy());
        let target = folder.join(format!("{name}_layer{layer}_head{head}.{format}"));
        std::fs::rename(&path, &target).map_err(Error::io(&target))?;
        written.push(target);
    }
    Ok(written)
}

/// Figures are drawn side by side, two at most and where their bitmaps would take no more bytes than this.
const SIDE_BY_SIDE: u64 = 256 << 20;

/// A figure that can be drawn from another thread.
struct Drawing<'a> {
    name: &'a str,
    size: (u32, u32),
    /// It is laid out anew for any size.
    elastic: bool,
    draw: Laid<'a>,
}

/// Draws it, laid out in a size, from any thread.
type Laid<'a> = Box<dyn Fn(&mut dyn canvas::Canvas, (u32, u32)) + Send + Sync + 'a>;

/// Figures of curves are laid out for the size that they get.
fn curves_of<'a>(name: &'a str, figure: LineFigure) -> Drawing<'a> {
    let size = figure.size();
    let draw = Box::new(move |canvas: &mut dyn canvas::Canvas, size| figure.draw_within(canvas, size));
    Drawing { name, size, elastic: true, draw }
}

/// Others have a size that follows from what they show.
fn fixed<'a>(
    name: &'a str,
    size: (u32, u32),
    draw: impl Fn(&mut dyn canvas::Canvas) + Send + Sync + 'a,
) -> Drawing<'a> {
    Drawing { name, size, elastic: false, draw: Box::new(move |canvas, _| draw(canvas)) }
}

/// The figures that are wanted, as far as the diagnosis has them.
fn drawings<'a>(diagnosis: &'a Diagnosis, wanted: &dyn Fn(&str) -> bool) -> Vec<Drawing<'a>> {
    let mut figures: Vec<Drawing<'a>> = Vec::new();
    for (name, figure) in CURVES.into_iter().filter(|(name, _)| wanted(name)) {
        figures.push(curves_of(name, figure(diagnosis)));
    }
    for (name, figure) in PREDICTED.into_iter().filter(|(name, _)| wanted(name)) {
        figures.extend(figure(diagnosis).map(|figure| curves_of(name, figure)));
    }
    if let Some(figure) = wanted("causes_shares").then(|| causes::SharesFigure::new(diagnosis)).flatten() {
        figures.push(fixed("causes_shares", figure.size(), move |canvas| figure.draw(canvas)));
    }
    if let Some(figure) = wanted("causes_heads").then(|| causes::PlacesFigure::new(diagnosis)).flatten() {
        figures.push(fixed("causes_heads", figure.size(), move |canvas| figure.draw(canvas)));
    }
    if let Some(figure) = wanted("drift_pca").then(|| StatesFigure::new(diagnosis)).flatten() {
        figures.push(fixed("drift_pca", figure.size(), move |canvas| figure.draw(canvas)));
    }
    for (name, quantity) in [("heads_logits", heads::LOGITS), ("heads_entropy", heads::ENTROPY)] {
        if let Some(figure) = wanted(name).then(|| HeadsFigure::new(diagnosis, quantity)).flatten() {
            figures.push(fixed(name, figure.size(), move |canvas| figure.draw(canvas)));
        }
    }
    if let Some(figure) = wanted("learned_sinks").then(|| sinks::learned_sinks(diagnosis)).flatten() {
        figures.push(fixed("learned_sinks", figure.size(), move |canvas| figure.draw(canvas)));
    }
    if let Some(figure) = wanted("attention_maps").then(|| MapsFigure::new(diagnosis)).flatten() {
        figures.push(fixed("attention_maps", figure.size(), move |canvas| figure.draw(canvas)));
    }
    figures
}

/// Draws the figure called `name` to `path`, in one format, in a size that is asked for: curves are laid out in it, other figures are
/// enlarged or reduced. False if `diagnosis` has no such figure.
///
/// # Errors
/// A size that no file can have; a file that cannot be written.
pub fn draw_sized(
    diagnosis: &Diagnosis,
    name: &str,
    path: &Path,
    format: Format,
    sizing: Sizing,
) -> Result<bool> {
    let figures = drawings(diagnosis, &|figure| figure == name);
    let Some(Drawing { size, elastic, draw, .. }) = figures.first() else { return Ok(false) };
    let (size, elastic) = (*size, *elastic);
    Figure { size, elastic, paper: theme::PAPER, raster: None, draw: &**draw }.write(path, format, sizing)?;
    Ok(true)
}

fn draw(diagnosis: &Diagnosis, wanted: &dyn Fn(&str) -> bool, folder: &Path) -> Result<Vec<PathBuf>> {
    let figures = drawings(diagnosis, wanted);
    let save =
        |Drawing { name, size, draw, .. }: &Drawing<'_>, bitmap: &mut Bitmap| -> Result<[PathBuf; 2]> {
            let path = folder.join(name);
            canvas::write_in(bitmap, &path, *size, &|canvas| draw(canvas, *size))?;
            Ok(["svg", "png"].map(|extension| path.with_extension(extension)))
        };
    // Neighbours in size take about as long.
    let bytes = |&index: &usize| canvas::bitmap_bytes(figures[index].size);
    let mut order: Vec<usize> = (0..figures.len()).collect();
    order.sort_by_key(|index| Reverse(bytes(index)));
    let mut written = Vec::new();
    let mut bitmaps = [Bitmap::default(), Bitmap::default()];
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let pair = rest.len().min(2);
        let fits = rest[..pair].iter().map(bytes).sum::<u64>() <= SIDE_BY_SIDE;
        let (next, others) = rest.split_at(if fits { pair } else { 1 });
        let drawn = |(&index, bitmap): (&usize, &mut Bitmap)| Ok((index, save(&figures[index], bitmap)?));
        written.extend(next.par_iter().zip(&mut bitmaps).map(drawn).collect::<Result<Vec<_>>>()?);
        rest = others;
    }
    written.sort_unstable_by_key(|(index, _)| *index);
    Ok(written.into_iter().flat_map(|(_, paths)| paths).collect())
}

/// Draws the figures of a long run into `folder`, as [`draw_all`] does. Returns the paths.
pub fn draw_long(result: &LongResult, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, figure) in [("nll_by_length", long::nll(result)), ("memory_by_length", long::memory(result))] {
        let path = folder.join(name);
        canvas::write(&path, figure.size(), &|canvas| figure.draw(canvas))?;
        written.extend(["svg", "png"].map(|extension| path.with_extension(extension)));
    }
    Ok(written)
}

/// Draws the figure of an ablation into `folder`, as [`draw_all`] does. Returns the paths.
pub fn draw_ablation(ablation: &Ablation, folder: &Path) -> Result<Vec<PathBuf>> {
    let (path, figure) = (folder.join("ablation"), ablation::excess(ablation));
    canvas::write(&path, figure.size(), &|canvas| figure.draw(canvas))?;
    Ok(["svg", "png"].map(|extension| path.with_extension(extension)).to_vec())
}

/// Draws the figures of a benchmark into `folder`, as [`draw_all`] does. Returns the paths.
pub fn draw_bench(result: &BenchResult, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, figure) in [
        ("encode_by_length", bench::encode(result)),
        ("decode_by_length", bench::decode(result)),
        ("memory_by_length", bench::memory(result)),
    ] {
        let path = folder.join(name);
        canvas::write(&path, figure.size(), &|canvas| figure.draw(canvas))?;
        written.extend(["svg", "png"].map(|extension| path.with_extension(extension)));
    }
    Ok(written)
}

/// Draws `chart` to `path` with the extensions of both formats, as [`draw_all`] does. Returns the paths.
pub fn draw_chart(chart: &Chart, path: &Path) -> Result<Vec<PathBuf>> {
    match chart {
        Chart::Points(points) => canvas::write(path, points.size(), &|canvas| points.draw(canvas))?,
        Chart::HeatMap(map) => canvas::write(path, map.size(), &|canvas| map.draw(canvas))?,
        Chart::Rows(rows) => canvas::write(path, rows.size(), &|canvas| rows.draw(canvas))?,
    }
    Ok(["svg", "png"].map(|extension| path.with_extension(extension)).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn every_figure_is_written_in_both_formats() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let written =
            draw_all(&synthetic::diagnosis(128, 256, &["vanilla", "lm-infinite"]), folder).expect("draws");
        assert_eq!(written.len(), 20);
        for path in &written {
            let bytes = std::fs::read(path).expect("was written");
            let svg = path.extension().is_some_and(|extension| extension == "svg");
            assert!(bytes.starts_with(if svg { b"<svg" } else { b"\x89PNG" }), "{}", path.display());
        }
    }

    #[test]
    fn one_figure_is_the_one_of_all() {
        let (all, one) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let diagnosis = synthetic::diagnosis(128, 256, &["vanilla", "lm-infinite"]);
        for path in draw_all(&diagnosis, all.path()).expect("draws") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let drawn = draw_named(&diagnosis, &name, one.path()).expect("draws");
            assert_eq!(drawn.len(), 2, "{name}");
            let alone = one.path().join(path.file_name().expect("a name"));
            assert_eq!(std::fs::read(&path).expect("was drawn"), std::fs::read(alone).expect("was drawn"));
        }
        assert!(draw_named(&diagnosis, "nonsense", one.path()).expect("nothing").is_empty());
    }

    #[test]
    fn a_head_has_figures_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let diagnosis = synthetic::diagnosis(128, 256, &["vanilla", "lm-infinite"]);
        let written = draw_head(&diagnosis, (1, 2), folder.path()).expect("draws");
        assert_eq!(written.len(), 2 * OF_HEADS.len());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), written.len());
        let svg = std::fs::read_to_string(folder.path().join("entropy_by_length_layer1_head2.svg"));
        assert!(svg.expect("was written").contains("L1 H2"));
        let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(written.iter().map(name).all(|name| is_of_a_head(&name)));
        for other in ["entropy_by_length.svg", "notes_layer1_head2.svg", "entropy_by_length_layer1_head.svg"]
        {
            assert!(!is_of_a_head(other), "{other}");
        }
        let refused = draw_head(&diagnosis, (1, 99), folder.path()).expect_err("no such head");
        assert!(refused.to_string().contains("L1 H99"), "{refused}");
    }

    #[test]
    fn almost_nothing_can_be_drawn() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        assert_eq!(draw_all(&synthetic::diagnosis(64, 1, &["vanilla"]), folder).expect("draws").len(), 16);
        assert_eq!(draw_all(&synthetic::diagnosis(128, 256, &[]), folder).expect("draws").len(), 12);
    }

    #[test]
    fn a_name_cannot_break_out_of_the_svg() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let mut diagnosis = synthetic::diagnosis(128, 256, &["vanilla"]);
        diagnosis.model = "<script>&\"x".into();
        draw_all(&diagnosis, folder).expect("draws");
        let svg = std::fs::read_to_string(folder.join("nll_by_position.svg")).expect("was written");
        assert!(!svg.contains("<script>"));
    }
}
