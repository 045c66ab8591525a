//! What is on screen is of: the run, its model and text, how much was read, and whether the run bar says otherwise by now.

use eframe::egui::{Label, Rect, RichText, Ui};
use lm_infinite::diagnose::Diagnosis;

use crate::words::grouped;

/// What is on screen is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// The run, the model, the text, and how much was read.
    pub words: String,
    /// What the run bar says otherwise by now, if anything.
    pub stale: Option<String>,
}

impl Caption {
    /// Of a diagnosis. `run` is what the run is called, `text` the text, `asked` how many tokens were asked for, where that is
    /// known; `changed` what the run bar says otherwise.
    pub fn new(diagnosis: &Diagnosis, run: &str, text: &str, asked: Option<u64>, changed: &[String]) -> Self {
        let (read, tokens) = (diagnosis.tokens_read(), diagnosis.tokens);
        let mut words = format!("{run}: {}, {text}, ", diagnosis.model);
        words.push_str(&match (diagnosis.is_partial(), asked.filter(|&asked| tokens < asked)) {
            (true, _) => format!("{} of {} tokens read", grouped(read), grouped(tokens)),
            (false, Some(_)) if diagnosis.repeated_from.is_none() => {
                format!("{} tokens, to its end", grouped(tokens))
            }
            (false, _) => format!("{} tokens", grouped(tokens)),
        });
        if let Some(from) = diagnosis.repeated_from {
            words.push_str(&format!(", the text repeats from token {}", grouped(from)));
        }
        let stale = (!changed.is_empty()).then(|| {
            format!(
                "Of earlier settings: the run bar says otherwise ({}). Run (Ctrl+R) reads with what it says.",
                changed.join(", ")
            )
        });
        Self { words, stale }
    }

    /// Draws it.
    pub fn show(&self, ui: &mut Ui) {
        ui.add(Label::new(RichText::new(&self.words).small()).truncate()).on_hover_text(&self.words);
    }

    /// Veils what is drawn in `rect`, where it is of other settings.
    pub fn veil(&self, ui: &Ui, rect: Rect) {
        if self.stale.is_some() {
            ui.painter().rect_filled(rect, 0.0, ui.visuals().panel_fill.gamma_multiply(VEIL));
        }
    }
}

/// Opacity of the veil: what lies below it can be read, and is not taken for what the run bar says.
const VEIL: f32 = 0.6;
