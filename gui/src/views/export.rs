//! The small window of the export: which figure, in which form, where to.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{
    Align2, Button, ComboBox, Context, Key, Label, Modifiers, RichText, TextEdit, Ui, Window,
};
use lm_infinite::diagnose::{Diagnosis, Head, head_name};
use lm_infinite::figures;
use lm_infinite::results::default_folder;

use crate::command::Command;
use crate::export::{Controls, Done, Export, Form, Origin, Request, Wanted, partial};
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
    controls: Controls,
    export: Export,
    said: Option<Result<String, String>>,
}

impl Default for Panel {
    fn default() -> Self {
        let (open, figure, folder, whole) = (false, 0, "results".to_owned(), String::new());
        Self { controls: Controls { open, figure, folder, whole }, export: Export::default(), said: None }
    }
}

/// What can be exported.
pub struct Exportable<'a> {
    /// What is on screen.
    pub diagnosis: &'a Arc<Diagnosis>,
    /// The head that is chosen.
    pub head: Option<Head>,
    /// Where the diagnosis comes from.
    pub origin: Option<Origin>,
    /// What it is of, in words.
    pub of: String,
}

impl Exportable<'_> {
    /// Why no result folder can be written: it would be taken for that of a whole run.
    pub fn partial(&self) -> Option<String> {
        self.diagnosis.is_partial().then(|| partial(self.diagnosis))
    }
}

impl Panel {
    /// Opens or closes it; at first it offers what `tab` shows.
    pub fn toggle(&mut self, tab: Tab, model: &str) {
        self.controls.open = !self.controls.open;
        let name = match tab {
            Tab::Curves | Tab::Text | Tab::Generate | Tab::Causes => "nll_by_position",
            Tab::Map | Tab::MapB => "attention_maps",
            Tab::Heads => "heads_logits",
            Tab::AllMaps => "attention_maps",
            Tab::Features => "drift_pca",
            Tab::Theory => "entropy_bounds",
        };
        self.controls.figure = FIGURES.iter().position(|(figure, ..)| *figure == name).unwrap_or(0);
        if self.controls.open {
            self.controls.whole = default_folder(model).display().to_string();
            self.said = None;
        }
    }

    /// Whether it is on screen.
    pub fn is_open(&self) -> bool {
        self.controls.open
    }

    /// The fields say this now.
    pub fn set(&mut self, controls: Controls) {
        self.controls = controls;
    }

    /// Begins to write.
    pub fn write(&mut self, ctx: &Context, wanted: Wanted, of: &Exportable<'_>) {
        let Some(origin) = of.origin.clone() else { return };
        let Controls { folder, whole, .. } = &self.controls;
        let folder = PathBuf::from(if wanted == Wanted::Everything { whole } else { folder }.trim());
        let (head, diagnosis) = (of.head, of.diagnosis.clone());
        self.said = None;
        self.export.start(Request { wanted, folder, head, diagnosis, origin }, theme::wake(ctx));
    }

    /// Takes what an export has to say.
    pub fn update(&mut self, ctx: &Context) {
        let Some(done) = self.export.done() else { return };
        self.said = Some(match done {
            Ok(Done::Written(path)) => Ok(format!("Written: {}", path.display())),
            Ok(Done::Picture(picture)) => {
                ctx.copy_image(picture);
                Ok("The picture is on the clipboard.".to_owned())
            }
            Err(failure) => Err(format!("Nothing was written. {failure}")),
        });
    }

    /// Escape closes it.
    pub fn keys(&self, ctx: &Context, commands: &mut Vec<Command>) {
        let open = self.controls.open;
        if open && ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape)) {
            commands.push(Command::Export(Controls { open: false, ..self.controls.clone() }));
        }
    }

    /// Draws it while it is open.
    pub fn show(&self, ctx: &Context, of: &Exportable<'_>, commands: &mut Vec<Command>) {
        let mut controls = self.controls.clone();
        let mut open = controls.open;
        Window::new("Export")
            .open(&mut open)
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
            .show(ctx, |ui| {
                let wanted = self.ask(ui, &mut controls, of);
                commands.extend(wanted.map(Command::Write));
                match &self.said {
                    _ if self.export.is_running() => drop(ui.label("Writing …")),
                    Some(Ok(words)) => drop(ui.label(words)),
                    Some(Err(words)) => drop(ui.colored_label(theme::bad(ui.visuals()), words)),
                    None => {}
                }
            });
        controls.open = open;
        if controls != self.controls {
            commands.push(Command::Export(controls));
        }
    }

    fn ask(&self, ui: &mut Ui, controls: &mut Controls, of: &Exportable<'_>) -> Option<Wanted> {
        let (ready, running) = (of.origin.is_some(), self.export.is_running());
        let mut wanted = None;
        ui.add(Label::new(RichText::new(&of.of).small()).wrap());
        let (name, title, table) = FIGURES[controls.figure.min(FIGURES.len() - 1)];
        ui.horizontal(|ui| {
            let label = ui.label("Figure");
            let combo =
                ComboBox::from_id_salt("figure").width(190.0).selected_text(title).show_ui(ui, |ui| {
                    for (at, (_, title, _)) in FIGURES.iter().enumerate() {
                        ui.selectable_value(&mut controls.figure, at, *title);
                    }
                });
            combo
                .response
                .labelled_by(label.id)
                .on_hover_text("As `diagnose` draws it, all policies together");
            if let Some(head) = of.head.filter(|_| figures::OF_HEADS.contains(&name)) {
                ui.label(format!("of {}", head_name(head)));
            }
        });
        path(ui, "Into folder", &mut controls.folder);
        ui.horizontal(|ui| {
            let mut button = |ui: &mut Ui, words: &str, help: &str, enabled: bool, form: Form| {
                let button = ui.add_enabled(enabled, Button::new(words));
                if button.on_hover_text(help).clicked() {
                    wanted = Some(Wanted::Figure(name, form));
                }
            };
            let idle = ready && !running;
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
        if let Some(partial) = of.partial() {
            ui.add(Label::new(partial).wrap());
        }
        path(ui, "Result folder", &mut controls.whole);
        let whole = !of.diagnosis.is_partial();
        let all = ui.add_enabled(ready && whole && !running, Button::new("Export everything"));
        if all
            .on_hover_text("The result folder that `lm-infinite diagnose` writes: figures, tables, report")
            .on_disabled_hover_text("Once the whole text has been read")
            .clicked()
        {
            wanted = Some(Wanted::Everything);
        }
        wanted
    }
}

fn path(ui: &mut Ui, name: &str, typed: &mut String) {
    ui.horizontal(|ui| {
        let label = ui.label(name);
        let field = TextEdit::singleline(typed).desired_width(300.0);
        ui.add(field).labelled_by(label.id).on_hover_text("It is made where it does not exist");
    });
}
