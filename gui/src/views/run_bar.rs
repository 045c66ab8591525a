//! The row of controls: what to read, the buttons of a run, how far it is and what it takes, and which layout is shown.

use eframe::egui::{
    self, Align, Button, ComboBox, DragValue, Label, Layout as Flow, Role, Ui, WidgetInfo, vec2,
};
use lm_infinite::policy::parse_length;

use super::ask::question::{Asked, Question};
use super::palette::typed::Typed;
use super::pull::change as pull;
use super::room::room;
use crate::command::Command;
use crate::job::Progress;
use crate::recent::Recent;
use crate::settings::Settings;
use crate::tour::Tour;
use crate::words::{grouped, size, time};
use crate::workbench::{Layout, Panels};

/// Least room for the words at the end of the row.
const WORDS: f32 = 90.0;

/// Width of the number of tokens, as of a few thousand.
const LENGTH: f32 = 88.0;

/// What the row shows.
pub struct Bar<'a> {
    /// What it says.
    pub settings: &'a Settings,
    /// Models that can be used at once.
    pub models: &'a [&'static str],
    /// Those, and texts and folders, that were used last.
    pub recent: &'a Recent,
    /// Of the run.
    pub progress: Option<&'a Progress>,
    /// The run waits.
    pub paused: bool,
    /// It was stopped before its end.
    pub stopped: bool,
    /// Why it cannot go on then.
    pub cannot_resume: Option<&'a str>,
    /// What a run of this would take, in words.
    pub estimate: String,
    /// The layout that was chosen last.
    pub layout: Layout,
    /// Which side panels are open.
    pub panels: Panels,
    /// The window is a narrow one.
    pub narrow: bool,
    /// There is something to export.
    pub exportable: bool,
    /// The list of keys is open.
    pub help: bool,
}

impl Bar<'_> {
    /// Draws the row.
    pub fn show(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let mut settings = self.settings.clone();
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 5.0;
            model(ui, self, &mut settings, commands);
            text(ui, &self.recent.texts, &mut settings, commands);
            length(ui, &mut settings.tokens);
            self.buttons(ui, commands);
            ui.separator();
            self.layouts(ui, commands);
            self.panels(ui, commands);
            ui.menu_button("More", |ui| self.more(ui, commands));
            self.words(ui);
        });
        if settings != *self.settings {
            commands.push(Command::Settings(settings));
        }
    }

    fn buttons(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let running = self.progress.is_some_and(|progress| !progress.finished);
        let mut button = |ui: &mut Ui, name: &str, enabled: bool, help: &str, pressed: Command| {
            let button = ui.add_enabled(enabled, Button::new(name)).on_hover_text(help);
            if button.on_disabled_hover_text(help).clicked() {
                commands.push(pressed);
            }
        };
        let again = if running { "Run again" } else { "Run" };
        button(ui, again, true, "Read the text under every policy (Ctrl+R)", Command::Run);
        let (pause, help) = match self.paused || self.stopped {
            true => ("Resume", "Go on where it waits (Space)"),
            false => ("Pause", "Wait, and go on later (Space)"),
        };
        let help = self.cannot_resume.unwrap_or(help);
        let can = running || self.stopped && self.cannot_resume.is_none();
        button(ui, pause, can, help, Command::Pause);
        let step = running && self.paused;
        button(ui, "Step", step, "Read the next 512 tokens (S)", Command::Step);
        button(
            ui,
            "Stop",
            running,
            "End for now; what was measured stays, and Resume goes on",
            Command::Stop,
        );
    }

    fn layouts(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        for layout in Layout::ALL {
            let chosen = layout == self.layout;
            let button = ui.selectable_label(chosen, layout.name());
            // A tile is called the same.
            let name = format!("Layout {}", layout.name());
            button.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &name));
            if button.on_hover_text(layout.help()).clicked() {
                commands.push(Command::Layout(layout));
            }
        }
        ui.separator();
    }

    fn panels(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let (panels, narrow) = (self.panels, self.narrow);
        let runs = ui.selectable_label(panels.runs(narrow), "Runs");
        if runs.on_hover_text("Policies and their verdicts (Ctrl+B)").clicked() {
            commands.push(Command::Panels(panels.with_runs(!panels.runs(narrow))));
        }
        let inspector = ui.selectable_label(panels.inspector(narrow), "Inspector");
        if inspector.on_hover_text("The chosen head, and what is under the pointer (Ctrl+I)").clicked() {
            commands.push(Command::Panels(panels.with_inspector(!panels.inspector(narrow))));
        }
    }

    /// Light or dark, results, export, help and tour.
    fn more(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let dark = ui.visuals().dark_mode;
        let mut button = |ui: &mut Ui, name: &str, help: &str, enabled: bool, command: Command| {
            if ui.add_enabled(enabled, Button::new(name)).on_hover_text(help).clicked() {
                commands.push(command);
            }
        };
        let help = "A result folder of `diagnose`; dropping it on the window does the same (Ctrl+O)";
        button(ui, "Open results…", help, true, Command::AskForResults);
        for path in &self.recent.folders {
            button(ui, &short(path), path, true, Command::OpenResults(path.into()));
        }
        let help = "Figures and numbers as files, or everything (Ctrl+E)";
        button(ui, "Export…", help, self.exportable, Command::ToggleExport);
        let other = if dark { "Light" } else { "Dark" };
        button(ui, other, "Switch between dark and light", true, Command::Dark(!dark));
        button(
            ui,
            "Commands…",
            "Every command by its name (Ctrl+P)",
            true,
            Command::Palette(Some(Typed::default())),
        );
        button(ui, "Keys", "All keys (F1)", true, Command::Help(!self.help));
        button(ui, "Tour", "Six steps through what is on screen", true, Command::Tour(Tour::BEGIN));
    }

    /// How far the run is, and what the next one would take: as much as there is room for, and all of it under the pointer.
    fn words(&self, ui: &mut Ui) {
        let finished = self.progress.is_none_or(|progress| progress.finished);
        let far = self.progress.map(progress_words);
        let next = finished.then(|| self.estimate.clone()).filter(|words| !words.is_empty());
        let changed = self.cannot_resume.map(str::to_owned);
        let words: Vec<_> = changed.into_iter().chain(far).chain(next).collect();
        room(ui, WORDS);
        let words = words.join(". ");
        let rest = vec2(ui.available_size_before_wrap().x, ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(rest, Flow::left_to_right(Align::Center), |ui| {
            ui.add(Label::new(&words).truncate()).on_hover_text(words);
        });
    }
}

fn model(ui: &mut Ui, bar: &Bar<'_>, settings: &mut Settings, commands: &mut Vec<Command>) {
    let mut ask = false;
    let combo = ComboBox::from_id_salt("model").selected_text(short(&settings.model)).show_ui(ui, |ui| {
        for &name in bar.models {
            ui.selectable_value(&mut settings.model, name.to_owned(), name);
        }
        for name in bar.recent.models.iter().filter(|name| !bar.models.contains(&name.as_str())) {
            ui.selectable_value(&mut settings.model, name.clone(), short(name)).on_hover_text(name);
        }
        let help = "A .gguf file or a Hugging Face folder; dropping it on the window does the same";
        ask = ui.button("Open model…").on_hover_text(help).clicked();
        let help = "Download a model that is known by its name, or one of Hugging Face";
        if ui.button("Pull model…").on_hover_text(help).clicked() {
            commands.push(Command::Pull(pull::Change::Open(true)));
        }
    });
    let name = format!("Model: {}", settings.model);
    combo.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, &name));
    combo.response.on_hover_text(format!("The model: built-in, pulled, or opened ({})", settings.model));
    if ask {
        let typed = settings.model.clone();
        commands.push(Command::Ask(Question { asked: Asked::Model, typed }));
    }
}

fn text(ui: &mut Ui, recent: &[String], settings: &mut Settings, commands: &mut Vec<Command>) {
    let title = format!("Text: {}", short(settings.text_name()));
    let menu = ui.menu_button(title, |ui| {
        if ui.button("Built-in").on_hover_text("The built-in text").clicked() {
            (settings.text, settings.pasted) = (String::new(), None);
        }
        let help = "A text file or a folder of them; dropping it on the window does the same";
        if ui.button("Open text…").on_hover_text(help).clicked() {
            let typed = settings.text.clone();
            commands.push(Command::Ask(Question { asked: Asked::Text, typed }));
        }
        if ui.button("Paste…").on_hover_text("A text from the clipboard, or typed").clicked() {
            let typed = settings.pasted.as_deref().unwrap_or_default().to_owned();
            commands.push(Command::Ask(Question { asked: Asked::Paste, typed }));
        }
        for path in recent {
            if ui.button(short(path)).on_hover_text(path).clicked() {
                (settings.text, settings.pasted) = (path.clone(), None);
            }
        }
        ui.checkbox(&mut settings.repeat, "Repeat").on_hover_text(
            "Where the text has fewer tokens, go on with its documents, drawn with replacement; \
             without it, the text is read to its end",
        );
    });
    menu.response.on_hover_text(settings.text_name());
}

fn length(ui: &mut Ui, tokens: &mut u64) {
    let typed = DragValue::new(tokens)
        .range(2..=u64::from(u32::MAX))
        .speed(16.0)
        .suffix(" tokens")
        .custom_formatter(|tokens, _| grouped(tokens as u64))
        .custom_parser(|text| {
            let text = text.trim().trim_end_matches("tokens").trim().replace(',', "");
            parse_length(&text).ok().map(|length| length as f64)
        });
    // Buttons beside it stay where they are while it is typed into.
    let response = ui.scope(|ui| {
        ui.spacing_mut().interact_size.x = LENGTH;
        ui.add(typed)
    });
    let response = response.inner.on_hover_text("How much of the text to read: 4096, 32k, 1M");
    response.widget_info(|| WidgetInfo::labeled(egui::Role::SpinButton, true, "Tokens, typed"));
}

/// How far a run is, how long it takes still, and what memory.
fn progress_words(progress: &Progress) -> String {
    let phase = if progress.failure.is_some() { "ended early" } else { progress.phase };
    if progress.total == 0 {
        return phase.to_owned();
    }
    let (position, total) = (grouped(progress.position), grouped(progress.total));
    let mut words = format!("{phase}: {position} of {total} tokens");
    if progress.tokenized < progress.total && !progress.finished {
        words.push_str(&format!(", {} tokenized", grouped(progress.tokenized)));
    }
    if progress.tokens_per_second > 0.0 {
        words.push_str(&format!(", {:.0} tokens/s", progress.tokens_per_second));
    }
    if let Some(left) = progress.seconds_left() {
        words.push_str(&format!(", {} left", time(left)));
    }
    if let Some(needs) = progress.needs.filter(|_| !progress.finished) {
        words.push_str(&format!(", takes about {} beside the model", size(needs)));
    }
    if let Some(memory) = progress.memory {
        words.push_str(&format!(", {} in use", size(memory)));
    }
    words
}

/// The end of a long path.
fn short(path: &str) -> String {
    const MOST: usize = 22;
    let count = path.chars().count();
    if count <= MOST {
        path.to_owned()
    } else {
        format!("…{}", path.chars().skip(count + 1 - MOST).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_tokens_time_and_memory() {
        let loading = Progress { phase: "loading the model", ..Progress::default() };
        assert_eq!(progress_words(&loading), "loading the model");
        let reading = Progress {
            phase: "the policies read the text",
            position: 1024,
            total: 100_000_000,
            tokenized: 49_152,
            tokens_per_second: 2000.4,
            left: Some(7200.0),
            needs: Some(60_000_000),
            memory: Some(3_200_000_000),
            ..Progress::default()
        };
        assert_eq!(
            progress_words(&reading),
            "the policies read the text: 1,024 of 100,000,000 tokens, 49,152 tokenized, 2000 tokens/s, 2 h left, takes about \
             60 MB beside the model, 3.2 GB in use"
        );
        let failed = Progress { failure: Some("no".into()), finished: true, ..reading.clone() };
        assert!(progress_words(&failed).starts_with("ended early: 1,024 of 100,000,000 tokens"));
        let finished = Progress { finished: true, tokenized: 7, ..reading };
        assert!(
            !progress_words(&finished).contains("left") && !progress_words(&finished).contains("tokenized")
        );
    }

    #[test]
    fn long_paths_keep_their_end() {
        assert_eq!(short("tiny-rope"), "tiny-rope");
        let long = short(&format!("/é{}/model.gguf", "x".repeat(60)));
        assert!(long.starts_with('…') && long.ends_with("/model.gguf") && long.chars().count() == 22);
    }
}
