//! The small window of the export: which figure, in which form, where to.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{Align2, Button, ComboBox, Context, Key, Modifiers, TextEdit, Ui, Window};
use lm_infinite::diagnose::{Diagnosis, Head};
use lm_infinite::figures;
use lm_infinite::results::default_folder;

use crate::export::{Done, Export, Form, Origin, Wanted};
use crate::tab::Tab;
use crate::theme;

/// A figure, what it is called, and whether a table lies behind it.
const FIGURES: &[(&str, &str, bool)] = &[
    ("nll_by_position", "Loss by position", true),
    ("logits_by_distance", "Logits by distance", true),
    ("logits_of_start_tokens", "Logits on start tokens", false),
    ("entropy_by_length", "Entropy by length", true),
    ("entropy_bounds", "Entropy and its bounds", true),
    ("start_mass_by_position", "Attention on start tokens", true),
    ("attention_maps", "Attention maps", false),
    ("heads_logits", "Logits of every head", false),
    ("heads_entropy", "Entropy of every head", false),
    ("drift_pca", "Hidden states", true),
];

/// The small window, and what it is doing.
pub struct Panel {
    open: bool,
    figure: usize,
    folder: String,
    whole: String,
    running: Option<Export>,
    said: Option<Result<String, String>>,
}

impl Default for Panel {
    fn default() -> Self {
        let (open, figure, folder, whole) = (false, 0, "results".to_owned(), String::new());
        Self { open, figure, folder, whole, running: None, said: None }
    }
}

impl Panel {
    /// Opens or closes it; at first it offers what `tab` shows.
    pub fn toggle(&mut self, tab: Tab, model: &str) {
        self.open = !self.open;
        let name = match tab {
            Tab::Curves | Tab::Text | Tab::Generate => "nll_by_position",
            Tab::Map => "attention_maps",
            Tab::Features => "drift_pca",
            Tab::Theory => "entropy_bounds",
        };
        self.figure = FIGURES.iter().position(|(figure, ..)| *figure == name).unwrap_or(0);
        if self.open {
            self.whole = default_folder(model).display().to_string();
            self.said = None;
        }
    }

    /// Escape closes it.
    pub fn keys(&mut self, ctx: &Context) {
        if self.open && ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape)) {
            self.open = false;
        }
    }

    /// Draws it while it is open, and takes what an export has to say. A result folder is of the `whole` text.
    pub fn show(
        &mut self,
        ctx: &Context,
        diagnosis: &Arc<Diagnosis>,
        head: Option<Head>,
        origin: Option<&Origin>,
        whole: bool,
    ) {
        self.take(ctx);
        let mut open = self.open;
        let mut wanted = None;
        Window::new("Export")
            .open(&mut open)
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
            .show(ctx, |ui| {
                wanted = self.ask(ui, head, origin.is_some(), whole);
                match &self.said {
                    _ if self.running.is_some() => drop(ui.label("Writing …")),
                    Some(Ok(words)) => drop(ui.label(words)),
                    Some(Err(words)) => drop(ui.colored_label(theme::BAD, words)),
                    None => {}
                }
            });
        self.open = open;
        if let (Some(wanted), Some(origin)) = (wanted, origin) {
            let folder = if wanted == Wanted::Everything { &self.whole } else { &self.folder };
            let folder = PathBuf::from(folder.trim());
            let started = Export::start(wanted, folder, head, diagnosis.clone(), origin.clone(), ctx.clone());
            match started {
                Ok(export) => (self.running, self.said) = (Some(export), None),
                Err(failure) => self.said = Some(Err(format!("It could not be begun: {failure}"))),
            }
        }
    }

    fn ask(&mut self, ui: &mut Ui, head: Option<Head>, ready: bool, whole: bool) -> Option<Wanted> {
        let mut wanted = None;
        let (name, title, table) = FIGURES[self.figure];
        ui.horizontal(|ui| {
            let label = ui.label("Figure");
            let combo =
                ComboBox::from_id_salt("figure").width(190.0).selected_text(title).show_ui(ui, |ui| {
                    for (at, (_, title, _)) in FIGURES.iter().enumerate() {
                        ui.selectable_value(&mut self.figure, at, *title);
                    }
                });
            combo.response.labelled_by(label.id).on_hover_text("As `diagnose` draws it, A and B together");
            if let Some((layer, head)) = head.filter(|_| figures::OF_HEADS.contains(&name)) {
                ui.label(format!("of layer {layer}, head {head}"));
            }
        });
        path(ui, "Into folder", &mut self.folder);
        ui.horizontal(|ui| {
            let mut button = |ui: &mut Ui, words: &str, help: &str, enabled: bool, form: Form| {
                let button = ui.add_enabled(enabled, Button::new(words));
                if button.on_hover_text(help).clicked() {
                    wanted = Some(Wanted::Figure(name, form));
                }
            };
            let idle = ready && self.running.is_none();
            button(ui, "SVG", "Lines that scale, for papers", idle, Form::Svg);
            button(ui, "PNG", "Pixels", idle, Form::Png);
            button(
                ui,
                "CSV",
                "The numbers behind the figure, where it has a table",
                idle && table,
                Form::Csv,
            );
            button(ui, "Copy picture", "To the clipboard", idle, Form::Copy);
        });
        ui.separator();
        path(ui, "Result folder", &mut self.whole);
        let all = ui.add_enabled(ready && whole && self.running.is_none(), Button::new("Export everything"));
        if all
            .on_hover_text("The result folder that `lm-infinite diagnose` writes: figures, tables, report")
            .on_disabled_hover_text("Once the whole text has been read")
            .clicked()
        {
            wanted = Some(Wanted::Everything);
        }
        wanted
    }

    fn take(&mut self, ctx: &Context) {
        let Some(done) = self.running.as_ref().and_then(Export::done) else { return };
        self.running = None;
        self.said = Some(match done {
            Ok(Done::Written(path)) => Ok(format!("Written: {}", path.display())),
            Ok(Done::Picture(picture)) => {
                ctx.copy_image(picture);
                Ok("The picture is on the clipboard.".to_owned())
            }
            Err(failure) => Err(format!("Nothing was written. {failure:#}")),
        });
    }
}

fn path(ui: &mut Ui, name: &str, typed: &mut String) {
    ui.horizontal(|ui| {
        let label = ui.label(name);
        let field = TextEdit::singleline(typed).desired_width(300.0);
        ui.add(field).labelled_by(label.id).on_hover_text("It is made where it does not exist");
    });
}
