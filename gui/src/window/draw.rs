//! One frame: reads what is on screen, and returns what the reader asks for.

use eframe::egui::{
    self, CentralPanel, Frame, Key, KeyboardShortcut, Label, Modifiers, Panel, ScrollArea, Ui,
};

use super::state::State;
use super::tiles;
use crate::command::Command;
use crate::tab::Tab;
use crate::views::run_bar::Bar;
use crate::views::runs::Runs;
use crate::views::{marks, palette};
use crate::workbench::Layout;
use crate::{help, notes, theme};

/// Keys of the layouts.
const LAYOUTS: [Key; 3] = [Key::F2, Key::F3, Key::F4];

/// Widths of the side panels, in points.
const RUNS: f32 = 178.0;
const INSPECTOR: f32 = 190.0;
const SIDES: std::ops::RangeInclusive<f32> = 140.0..=480.0;

/// Draws everything; returns what was asked for.
pub fn draw(state: &State, ui: &mut Ui) -> Vec<Command> {
    let mut commands = Vec::new();
    overlay_keys(state, ui.ctx(), &mut commands);
    keys(state, ui, &mut commands);
    dropped(ui, &mut commands);
    let frame = |ui: &Ui| Frame::side_top_panel(ui.style()).inner_margin(egui::Margin::symmetric(6, 3));
    Panel::top("controls").frame(frame(ui)).show(ui, |ui| {
        bar_ui(state, ui, &mut commands);
        messages_ui(state, ui, &mut commands);
    });
    let shown = state.shown();
    if let Some(caption) = state.caption() {
        let playing = state.playing.is_some();
        let timeline = Panel::bottom("timeline").frame(frame(ui));
        if let Some(shown) = &shown {
            let marks = state.shown_marks();
            timeline.show(ui, |ui| {
                state.timeline.show(ui, shown, &caption, (playing, &marks), &mut commands);
            });
        }
    }
    if state.panels.runs(state.narrow) || state.tour.needs_runs() {
        let panel = Panel::left("runs").frame(frame(ui)).default_size(RUNS).size_range(SIDES);
        panel.show(ui, |ui| ScrollArea::vertical().show(ui, |ui| runs_ui(state, ui, &mut commands)));
    }
    if let Some(shown) = shown.as_ref().filter(|shown| shown.inspected) {
        let panel = Panel::right("inspector").frame(frame(ui)).default_size(INSPECTOR).size_range(SIDES);
        let panes = || state.owners().into_iter().filter_map(|tab| state.pane(tab));
        panel.show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| state.inspector.show(ui, shown, panes(), &mut commands))
        });
    }
    CentralPanel::default().frame(Frame::NONE).show(ui, |ui| match &shown {
        Some(shown) => tiles::show(state, ui, shown, &mut commands),
        None => nothing_ui(state, ui),
    });
    overlays(state, ui.ctx(), &mut commands);
    commands
}

/// Why there is nothing yet.
fn nothing_ui(state: &State, ui: &mut Ui) {
    let words = if state.opening.is_running() {
        "The result folder is being read …"
    } else if state.progress.as_ref().is_some_and(|progress| !progress.finished) {
        "The policies read the text …"
    } else {
        "No result yet. Press Run to read the text under every policy."
    };
    // Tiles bring their own ground; where there are none, there would be none.
    ui.painter().rect_filled(ui.max_rect(), 0.0, ui.visuals().panel_fill);
    ui.centered_and_justified(|ui| ui.label(words));
}

/// The small windows over everything.
fn overlays(state: &State, ctx: &egui::Context, commands: &mut Vec<Command>) {
    commands.extend(state.ask.show(ctx).into_iter().map(Command::Answer));
    state.pull.show(ctx, &state.listed, commands);
    if let Some(exportable) = state.exportable() {
        state.export.show(ctx, &exportable, commands);
    }
    if let Some(typed) = &state.palette {
        let dark = ctx.global_style().visuals.dark_mode;
        palette::show(ctx, typed, &state.entries(dark), commands);
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
    if let Some(typed) = &state.palette {
        let dark = ctx.global_style().visuals.dark_mode;
        palette::keys(ctx, typed, &state.entries(dark), commands);
    }
    let wanted = KeyboardShortcut::new(Modifiers::COMMAND, Key::P);
    if ctx.input_mut(|input| input.consume_shortcut(&wanted)) {
        commands.push(Command::Palette(state.palette.is_none().then(palette::typed::Typed::default)));
    }
    if help::keys(ctx, state.help) != state.help {
        commands.push(Command::Help(!state.help));
    }
    commands.extend(state.ask.keys(ctx).map(Command::Answer));
    state.pull.keys(ctx, commands);
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
        models: &state.models(),
        recent: &state.recent,
        progress: state.progress.as_ref(),
        paused: state.is_paused(),
        stopped: state.is_stopped(),
        cannot_resume: state.cannot_resume(),
        estimate: state.estimate(),
        layout: state.bench.layout,
        panels: state.panels,
        narrow: state.narrow,
        exportable: state.diagnosis.is_some(),
        help: state.help,
    };
    bar.show(ui, commands);
}

/// What went wrong, and what is of other settings: a line each, where there is something to say.
fn messages_ui(state: &State, ui: &mut Ui, commands: &mut Vec<Command>) {
    let run = state.progress.as_ref().and_then(|progress| progress.failure.as_ref());
    let run = run.map(|failure| format!("The run ended early. {failure}"));
    let opening = state.opening.failure();
    let opening = opening.map(|failure| format!("The result folder could not be opened: {failure}"));
    let stale = state.caption().and_then(|caption| caption.stale);
    let kept = state.said.iter().chain(&state.unsaved).cloned();
    for words in run.into_iter().chain(opening).chain(stale).chain(kept) {
        ui.add(Label::new(egui::RichText::new(words).color(theme::bad(ui.visuals()))).wrap());
    }
    state.unread_ui(ui, commands);
    for told in state.told.iter().chain(state.unkept.iter().filter(|_| state.settings.pasted.is_none())) {
        ui.add(Label::new(told).wrap());
    }
    // The column of the runs tells them otherwise.
    if !state.panels.runs(state.narrow) {
        for note in state.diagnosis.iter().flat_map(|diagnosis| &diagnosis.notes) {
            let words = note.to_string();
            ui.add(Label::new(&words).truncate()).on_hover_text(words);
        }
    }
}

fn runs_ui(state: &State, ui: &mut Ui, commands: &mut Vec<Command>) {
    let runs = Runs {
        settings: &state.settings,
        refused: &state.refused,
        config: state.config(),
        diagnosis: state.diagnosis.as_deref(),
        asked: state.asked(),
        hidden: state.hidden,
        folded: state.folded,
        pair: state.pair.within(state.diagnosis.as_ref().map_or(0, |diagnosis| diagnosis.runs.len())),
        kept: state.history.named(),
    };
    runs.show(ui, commands);
    if state.marked_text().is_some() {
        marks::show(ui, &state.shown_marks(), state.mark, commands);
    }
}

/// What keys ask for, unless a text is being edited. A key that means something here reaches nothing else.
fn keys(state: &State, ui: &Ui, commands: &mut Vec<Command>) {
    // No field of text has a use for it.
    let run = KeyboardShortcut::new(Modifiers::COMMAND, Key::R);
    if ui.input_mut(|input| input.consume_shortcut(&run)) {
        commands.push(Command::Run);
    }
    if ui.ctx().text_edit_focused() {
        return;
    }
    let tabs = Tab::ALL.map(|tab| (tab.key(), Command::Show(tab)));
    let play = Command::Play(state.playing.is_none());
    let layouts = LAYOUTS.into_iter().zip(Layout::ALL.map(Command::Layout));
    let plain = [(Key::Space, Command::Pause), (Key::S, Command::Step), (Key::P, play)]
        .into_iter()
        .chain(tabs)
        .chain(layouts);
    let forth = Modifiers::COMMAND | Modifiers::SHIFT;
    let steps = [
        // The one with more keys goes first: the other would take it, too.
        (forth, Key::Z, Command::Redo),
        (Modifiers::COMMAND, Key::Y, Command::Redo),
        (Modifiers::COMMAND, Key::Z, Command::Undo),
        (Modifiers::ALT, Key::ArrowLeft, Command::Back),
        (Modifiers::ALT, Key::ArrowRight, Command::Forward),
    ];
    let mark = state.mark.map(|token| (Modifiers::COMMAND, Key::M, Command::Note(notes::Change::Add(token))));
    let export = state.diagnosis.is_some().then_some((Key::E, Command::ToggleExport));
    let with_control = [
        (Key::O, Command::AskForResults),
        (Key::B, Command::Panels(state.panels.with_runs(!state.panels.runs(state.narrow)))),
        (Key::I, Command::Panels(state.panels.with_inspector(!state.panels.inspector(state.narrow)))),
    ];
    let with_control = with_control.into_iter().chain(export);
    let all = plain
        .map(|(key, command)| (Modifiers::NONE, key, command))
        .chain(with_control.map(|(key, command)| (Modifiers::COMMAND, key, command)))
        .chain(mark);
    let all = steps.into_iter().chain(all);
    for (modifiers, key, command) in all {
        if ui.input_mut(|input| input.consume_shortcut(&KeyboardShortcut::new(modifiers, key))) {
            commands.push(command);
        }
    }
}
