//! The small window of the export: which figure, in which form, where to.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{
    Align2, Button, ComboBox, Context, DragValue, Key, Label, Modifiers, RichText, Role, TextEdit, Ui,
    WidgetInfo, Window,
};
use lm_infinite::diagnose::{Diagnosis, Head, head_name};
use lm_infinite::figures::{self, Sizing};
use lm_infinite::results::default_folder;

use crate::command::Command;
use crate::export::{Chosen, Controls, Done, Export, Form, Origin, Request, ShownMap, Wanted, partial};
use crate::reveal::Reveal;
use crate::tab::Tab;
use crate::theme;
use crate::views::ask::question::{Asked, Question};

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

/// Width and height that are offered first, in pixels.
const SIZE: (u32, u32) = (900, 600);

/// The small window, and what it is doing.
pub struct Panel {
    controls: Controls,
    export: Export,
    said: Option<Result<String, String>>,
    /// What was written last, while that is said.
    written: Option<PathBuf>,
    reveal: Reveal,
}

impl Default for Panel {
    fn default() -> Self {
        let controls = Controls {
            open: false,
            figure: Chosen::Figure(0),
            sized: false,
            width: SIZE.0,
            height: SIZE.1,
            dpi: Sizing::default().dpi,
            folder: "results".to_owned(),
            whole: String::new(),
        };
        Self { controls, export: Export::default(), said: None, written: None, reveal: Reveal::default() }
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
    /// Maps that are on screen.
    pub maps: Vec<ShownMap>,
}

impl Exportable<'_> {
    /// The figure, if it can be had: a map that has left the screen is the figure of maps.
    fn offered(&self, figure: Chosen) -> Chosen {
        let maps = || FIGURES.iter().position(|(name, ..)| *name == "attention_maps").unwrap_or(0);
        match figure {
            Chosen::Map(map) if !self.maps.contains(&map) => Chosen::Figure(maps()),
            figure => figure,
        }
    }

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
        let figure = FIGURES.iter().position(|(figure, ..)| *figure == name).unwrap_or(0);
        // Where no map is on screen yet, the figure of maps stands in.
        self.controls.figure = match tab {
            Tab::Map => Chosen::Map(ShownMap::Side(0)),
            Tab::MapB => Chosen::Map(ShownMap::Side(1)),
            _ => Chosen::Figure(figure),
        };
        if self.controls.open {
            self.controls.whole = default_folder(model).display().to_string();
            (self.said, self.written) = (None, None);
            self.reveal.forget();
        }
    }

    /// Figures go into this folder now.
    pub fn choose_folder(&mut self, folder: String) {
        self.controls.folder = folder;
    }

    /// Has the file manager show where the last file was written.
    pub fn reveal(&mut self, ctx: &Context) {
        if let Some(path) = &self.written {
            self.reveal.start(path.clone(), theme::wake(ctx));
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
        (self.said, self.written) = (None, None);
        self.reveal.forget();
        let sizing = self.controls.sizing();
        self.export.start(Request { wanted, folder, head, diagnosis, origin, sizing }, theme::wake(ctx));
    }

    /// Takes what an export has to say.
    pub fn update(&mut self, ctx: &Context) {
        self.reveal.poll();
        let Some(done) = self.export.done() else { return };
        self.said = Some(match done {
            Ok(Done::Written(path)) => {
                let words = format!("Written: {}", path.display());
                self.written = Some(path);
                Ok(words)
            }
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
                self.ask(ui, &mut controls, of, commands);
                match &self.said {
                    _ if self.export.is_running() => drop(ui.label("Writing …")),
                    Some(Ok(words)) => drop(ui.add(Label::new(words).wrap())),
                    Some(Err(words)) => drop(ui.colored_label(theme::bad(ui.visuals()), words)),
                    None => {}
                }
                if self.written.is_some()
                    && ui.button("Show in file manager").on_hover_text("Opens the folder it is in").clicked()
                {
                    commands.push(Command::Reveal);
                }
                if let Some(failure) = self.reveal.failure() {
                    ui.colored_label(theme::bad(ui.visuals()), failure);
                }
            });
        controls.open = open;
        if controls != self.controls {
            commands.push(Command::Export(controls));
        }
    }

    fn ask(&self, ui: &mut Ui, controls: &mut Controls, of: &Exportable<'_>, commands: &mut Vec<Command>) {
        let idle = of.origin.is_some() && !self.export.is_running();
        ui.add(Label::new(RichText::new(&of.of).small()).wrap());
        let figure = of.offered(controls.figure);
        ui.horizontal(|ui| {
            let label = ui.label("Figure");
            let menu = ComboBox::from_id_salt("figure").width(190.0).selected_text(title(figure));
            let menu = menu.show_ui(ui, |ui| {
                let maps = of.maps.iter().copied().map(Chosen::Map);
                for other in maps.chain((0..FIGURES.len()).map(Chosen::Figure)) {
                    ui.selectable_value(&mut controls.figure, other, title(other));
                }
            });
            let help = match figure {
                Chosen::Map(_) => "The place that is on screen, in its colours",
                Chosen::Figure(_) => "As `diagnose` draws it, all policies together",
            };
            menu.response.labelled_by(label.id).on_hover_text(help);
            let one = figures::OF_HEADS.contains(&name(figure)) && !matches!(figure, Chosen::Map(_));
            if let Some(head) = of.head.filter(|_| one) {
                ui.label(format!("of {}", head_name(head)));
            }
        });
        ui.horizontal(|ui| size_ui(ui, controls));
        ui.horizontal(|ui| {
            path(ui, "Into folder", 240.0, &mut controls.folder);
            if ui.button("Choose…").on_hover_text("Choose the folder in a list").clicked() {
                let typed = controls.folder.clone();
                commands.push(Command::Ask(Question { asked: Asked::Folder, typed }));
            }
        });
        ui.horizontal(|ui| {
            let table =
                matches!(figure, Chosen::Figure(at) if FIGURES.get(at).is_some_and(|(.., table)| *table));
            let map = matches!(figure, Chosen::Map(_));
            let forms = [
                ("SVG", "Lines that scale, for papers", true, Form::Svg),
                ("PNG", "Pixels", true, Form::Png),
                ("CSV", "The numbers behind the figure, where it has a table", table, Form::Csv),
                (
                    "NPY",
                    "The numbers behind the map, as an array of f32: rows are queries, columns keys",
                    map,
                    Form::Npy,
                ),
                ("Copy picture", "To the clipboard", true, Form::Copy),
            ];
            for (words, help, there, form) in forms {
                let button = ui.add_enabled(idle && there, Button::new(words));
                if button.on_hover_text(help).clicked() {
                    commands.push(Command::Write(match figure {
                        Chosen::Map(map) => Wanted::Shown(map, form),
                        Chosen::Figure(_) => Wanted::Figure(name(figure), form),
                    }));
                }
            }
        });
        ui.separator();
        if let Some(partial) = of.partial() {
            ui.add(Label::new(partial).wrap());
        }
        ui.horizontal(|ui| path(ui, "Result folder", 300.0, &mut controls.whole));
        let whole = !of.diagnosis.is_partial();
        let all = ui.add_enabled(idle && whole, Button::new("Export everything"));
        if all
            .on_hover_text("The result folder that `lm-infinite diagnose` writes: figures, tables, report")
            .on_disabled_hover_text("Once the whole text has been read")
            .clicked()
        {
            commands.push(Command::Write(Wanted::Everything));
        }
    }
}

/// What a figure is called.
fn title(figure: Chosen) -> String {
    match figure {
        Chosen::Map(ShownMap::Side(side)) => format!("Map {} as shown", theme::name(side)),
        Chosen::Map(ShownMap::Difference(pair)) => format!("Map {} as shown", pair.name()),
        Chosen::Figure(at) => FIGURES.get(at).map_or("", |(_, title, _)| title).to_owned(),
    }
}

/// What `diagnose` calls it.
fn name(figure: Chosen) -> &'static str {
    match figure {
        Chosen::Map(_) => "",
        Chosen::Figure(at) => FIGURES.get(at).map_or("", |(name, ..)| name),
    }
}

/// Width and height, if they are not the figure's own, and how fine pixels are.
fn size_ui(ui: &mut Ui, controls: &mut Controls) {
    ui.checkbox(&mut controls.sized, "Size")
        .on_hover_text("Curves and maps are laid out in it, other figures keep their proportions");
    let Controls { sized, width, height, .. } = controls;
    for (value, words) in [(width, "Width of the figure"), (height, "Height of the figure")] {
        let field = ui.add_enabled(*sized, DragValue::new(value).range(64..=20_000).suffix(" px"));
        field.widget_info(|| WidgetInfo::labeled(Role::SpinButton, *sized, words));
        field.on_hover_text(words);
    }
    let field = ui.add(DragValue::new(&mut controls.dpi).range(24..=2_400).suffix(" dpi"));
    field.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, "Dots per inch"));
    field.on_hover_text("Of PNG and of what is copied: 96 is a dot for each pixel of the size");
}

fn path(ui: &mut Ui, name: &str, width: f32, typed: &mut String) {
    let label = ui.label(name);
    let field = TextEdit::singleline(typed).desired_width(width);
    ui.add(field).labelled_by(label.id).on_hover_text("It is made where it does not exist");
}
