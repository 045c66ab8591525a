//! One frame: reads what is on screen, and returns what the reader asks for.

use eframe::egui::{
    self, CentralPanel, Key, KeyboardShortcut, Modifiers, Panel, Rect, ScrollArea, Ui, UiBuilder, vec2,
};

use super::state::State;
use crate::command::Command;
use crate::tab::Tab;
use crate::tour::{self, Part, Tour};
use crate::views::run_bar::Bar;
use crate::views::shown::Shown;
use crate::views::verdicts;
use crate::{help, theme};

/// Keys of the tabs.
const NUMBERS: [Key; 9] =
    [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];

/// Lowest height of a pane, in points, and room below it.
const LEAST_PANE: f32 = 280.0;
const EDGE: f32 = 8.0;
/// Share of the window that the run bar takes at most; what has no room is scrolled to.
const BAR: f32 = 0.5;

/// Draws everything; returns what was asked for.
pub fn draw(state: &State, ui: &mut Ui) -> Vec<Command> {
    let mut commands = Vec::new();
    overlay_keys(state, ui.ctx(), &mut commands);
    keys(state, ui, &mut commands);
    dropped(ui, &mut commands);
    let bar = Panel::top("run").show(ui, |ui| {
        ui.add_space(4.0);
        let most = ui.ctx().content_rect().height() * BAR;
        ScrollArea::vertical().id_salt("run bar").max_height(most).auto_shrink([false, true]).show(
            ui,
            |ui| {
                bar_ui(state, ui, &mut commands);
            },
        );
        ui.add_space(4.0);
    });
    tour::mark(ui.ctx(), Part::RunBar, bar.response.rect);
    match state.shown() {
        Some(shown) => result_ui(state, ui, &shown, &mut commands),
        None => {
            CentralPanel::default().show(ui, |ui| {
                let words = if state.opening.is_running() {
                    "The result folder is being read …"
                } else if state.progress.as_ref().is_some_and(|progress| !progress.finished) {
                    "Both policies read the text …"
                } else {
                    "No result yet. Press Run to read the text under both policies."
                };
                ui.centered_and_justified(|ui| ui.label(words));
            });
        }
    }
    overlays(state, ui.ctx(), &mut commands);
    commands
}

/// The small windows over everything.
fn overlays(state: &State, ctx: &egui::Context, commands: &mut Vec<Command>) {
    commands.extend(state.ask.show(ctx).into_iter().map(Command::Answer));
    if let Some(exportable) = state.exportable() {
        state.export.show(ctx, &exportable, commands);
    }
    if help::show(ctx, state.help) != state.help {
        commands.push(Command::Help(!state.help));
    }
    let tour = state.tour.show(ctx, state.diagnosis.as_deref());
    if tour != state.tour {
        commands.push(Command::Tour(tour));
    }
}

fn overlay_keys(state: &State, ctx: &egui::Context, commands: &mut Vec<Command>) {
    if help::keys(ctx, state.help) != state.help {
        commands.push(Command::Help(!state.help));
    }
    commands.extend(state.ask.keys(ctx).map(Command::Answer));
    state.export.keys(ctx, commands);
    let tour = state.tour.keys(ctx);
    if tour != state.tour {
        commands.push(Command::Tour(tour));
    }
}

/// Files that were let go over the window.
fn dropped(ui: &Ui, commands: &mut Vec<Command>) {
    let paths = ui.input(|input| {
        let files = input.raw.dropped_files.iter();
        files.map(|file| file.path().to_owned()).collect::<Vec<_>>()
    });
    if !paths.is_empty() {
        commands.push(Command::Drop(paths));
    }
}

fn bar_ui(state: &State, ui: &mut Ui, commands: &mut Vec<Command>) {
    let bar = Bar {
        settings: &state.settings,
        models: &state.models,
        trained_length: state.trained_length(),
        progress: state.progress.as_ref(),
        paused: state.is_paused(),
        refused: &state.refused,
        estimate: state.estimate(),
    };
    bar.show(ui, commands);
    if let Some(failure) = state.opening.failure() {
        ui.colored_label(theme::BAD, format!("The result folder could not be opened: {failure}"));
    }
    for note in state.diagnosis.iter().flat_map(|diagnosis| &diagnosis.notes) {
        ui.label(note.to_string());
    }
    ui.horizontal_wrapped(|ui| manners_ui(state, ui, commands));
}

fn result_ui(state: &State, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
    let caption = state.caption();
    let grid = Panel::left("heads")
        .default_size(state.heads_width.unwrap_or(330.0))
        .size_range(240.0..=620.0)
        .show(ui, |ui| {
            if let Some(caption) = &caption {
                caption.show(ui);
            }
            let below = ui.available_rect_before_wrap();
            let choice = ScrollArea::vertical().show(ui, |ui| state.heads.show(ui, shown.diagnosis)).inner;
            if choice != state.heads.choice {
                commands.push(Command::Heads(choice));
            }
            if let Some(caption) = &caption {
                caption.veil(ui, below);
            }
        });
    tour::mark(ui.ctx(), Part::Heads, grid.response.rect);
    let width = grid.response.rect.width();
    if state.heads_width != Some(width) {
        commands.push(Command::HeadsWidth(width));
    }
    CentralPanel::default().show(ui, |ui| {
        let height = ui.available_height();
        // A low window has no room for all: then it scrolls.
        ScrollArea::vertical().id_salt("result").auto_shrink(false).show(ui, |ui| {
            let top = ui.cursor().top();
            let verdicts = ui.scope(|ui| verdicts::show(ui, shown.diagnosis, state.asked()));
            tour::mark(ui.ctx(), Part::Verdicts, verdicts.response.rect);
            ui.separator();
            ui.horizontal_wrapped(|ui| tabs_ui(state, ui, commands));
            if let Some(caption) = &caption {
                caption.veil(ui, verdicts.response.rect);
                caption.show(ui);
            }
            let used = ui.cursor().top() - top;
            let room = vec2(ui.available_width(), (height - used - EDGE).max(LEAST_PANE));
            let rect = Rect::from_min_size(ui.cursor().min, room);
            ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| {
                if let Some(pane) = state.pane() {
                    pane.show(ui, shown, commands);
                }
            });
            if let Some(caption) = &caption {
                caption.veil(ui, rect);
            }
        });
    });
}

fn tabs_ui(state: &State, ui: &mut Ui, commands: &mut Vec<Command>) {
    for tab in Tab::ALL {
        let label = ui.selectable_label(state.tab == tab, tab.name());
        let help = format!("{} (key {})", tab.help(), tab.index() + 1);
        if label.on_hover_text(help).clicked() {
            commands.push(Command::Show(tab));
        }
    }
}

/// Light or dark, results, export, help and tour.
fn manners_ui(state: &State, ui: &mut Ui, commands: &mut Vec<Command>) {
    let dark = ui.visuals().dark_mode;
    let mut button = |ui: &mut Ui, name: &str, help: &str, enabled: bool, command: Command| {
        if ui.add_enabled(enabled, egui::Button::new(name)).on_hover_text(help).clicked() {
            commands.push(command);
        }
    };
    let other = if dark { "Light" } else { "Dark" };
    button(ui, other, "Switch between dark and light", true, Command::Dark(!dark));
    let help = "A result folder of `diagnose`; dropping it on the window does the same (Ctrl+O)";
    button(ui, "Open results…", help, true, Command::AskForResults);
    let help = "Figures and numbers as files, or everything (Ctrl+E)";
    button(ui, "Export…", help, state.diagnosis.is_some(), Command::ToggleExport);
    button(ui, "Keys", "All keys (F1)", true, Command::Help(!state.help));
    button(ui, "Tour", "Six steps through what is on screen", true, Command::Tour(Tour::BEGIN));
}

/// What keys ask for, unless a text is being edited. A key that means something here reaches nothing else.
fn keys(state: &State, ui: &Ui, commands: &mut Vec<Command>) {
    if ui.ctx().text_edit_focused() {
        return;
    }
    let tabs = NUMBERS.into_iter().zip(Tab::ALL.map(Command::Show));
    let plain = [(Key::Space, Command::Pause), (Key::S, Command::Step)].into_iter().chain(tabs);
    let export = state.diagnosis.is_some().then_some((Key::E, Command::ToggleExport));
    let with_control = [(Key::R, Command::Run), (Key::O, Command::AskForResults)].into_iter().chain(export);
    let all = plain
        .map(|(key, command)| (Modifiers::NONE, key, command))
        .chain(with_control.map(|(key, command)| (Modifiers::COMMAND, key, command)));
    for (modifiers, key, command) in all {
        if ui.input_mut(|input| input.consume_shortcut(&KeyboardShortcut::new(modifiers, key))) {
            commands.push(command);
        }
    }
}
