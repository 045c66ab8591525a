//! Figures: pure functions of a result. Nothing is measured here, and a figure can be drawn again from a stored result.
//!
//! plotters serves as the drawing backend (SVG and bitmap); layout, dashes, markers and legends are ours, so that both
//! formats and all sizes look the same.

mod axes;
mod canvas;
mod curves;
mod lines;
mod states;
mod theme;

use std::path::{Path, PathBuf};

use crate::diagnose::Diagnosis;
use crate::error::Result;
use lines::LineFigure;
use states::StatesFigure;

/// How a figure of curves follows from a diagnosis.
type Curves = fn(&Diagnosis) -> LineFigure;

/// The figures of curves, by name.
const CURVES: [(&str, Curves); 5] = [
    ("nll_by_position", curves::nll),
    ("logits_by_distance", curves::logits),
    ("logits_of_start_tokens", curves::logits_start),
    ("entropy_by_length", curves::entropy),
    ("start_mass_by_position", curves::start_mass),
];

/// Draws every figure of `diagnosis` into `folder`, each as SVG and as PNG at twice the layout's size. Returns the paths.
pub fn draw_all(diagnosis: &Diagnosis, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let mut save = |name: &str, size, draw: &dyn Fn(&mut dyn canvas::Canvas)| -> Result<()> {
        let path = folder.join(name);
        canvas::write(&path, size, draw)?;
        written.extend(["svg", "png"].map(|extension| path.with_extension(extension)));
        Ok(())
    };
    for (name, figure) in CURVES {
        let figure = figure(diagnosis);
        save(name, figure.size(), &|canvas| figure.draw(canvas))?;
    }
    if let Some(figure) = StatesFigure::new(diagnosis) {
        save("drift_pca", figure.size(), &|canvas| figure.draw(canvas))?;
    }
    Ok(written)
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
        assert_eq!(written.len(), 12);
        for path in &written {
            let bytes = std::fs::read(path).expect("was written");
            let svg = path.extension().is_some_and(|extension| extension == "svg");
            assert!(bytes.starts_with(if svg { b"<svg" } else { b"\x89PNG" }), "{}", path.display());
        }
    }

    #[test]
    fn almost_nothing_can_be_drawn() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        assert_eq!(draw_all(&synthetic::diagnosis(64, 1, &["vanilla"]), folder).expect("draws").len(), 10);
        assert_eq!(draw_all(&synthetic::diagnosis(128, 256, &[]), folder).expect("draws").len(), 10);
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
