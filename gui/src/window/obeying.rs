//! The one place where commands take effect.

use std::path::Path;
use std::sync::Arc;

use eframe::egui::{self, Context};

use super::Window;
use super::history::OpenedFolder;
use crate::command::Command;
use crate::notes;
use crate::opening::{Opened, Request, Results};
use crate::recent;
use crate::theme;
use crate::views::ask::question::{Answer, Asked, Question};
use crate::words::grouped;
use crate::workbench::Workbench;

impl Window {
    /// Does what the reader asked for.
    pub(super) fn obey(&mut self, command: Command, ctx: &Context) {
        let state = &mut self.state;
        match (command, &state.job) {
            (Command::Run, _) => {
                state.unkept = None;
                self.want_run(ctx);
            }
            (Command::Pause, Some(job)) if job.is_stopped() => match state.cannot_resume() {
                Some(why) => state.told = Some(format!("{why}.")),
                None => job.resume(),
            },
            (Command::Pause, Some(job)) => job.set_paused(!job.is_paused()),
            (Command::Step, Some(job)) => job.step(),
            (Command::Stop, Some(job)) => job.stop(),
            (Command::Pause | Command::Step | Command::Stop, None) => {}
            (Command::Settings(settings), _) => state.change_settings(settings),
            (Command::Refused(reasons), _) => state.refused = reasons,
            (Command::Ignore(field), _) => {
                match field {
                    Some(field) => state.settings.ignore(field),
                    None => state.settings.ignore_nothing(),
                }
                self.want_run(ctx);
            }
            (Command::Show(tab), _) => state.bench.show(tab),
            (Command::Arrange(tiles), _) => state.bench.tiles = tiles,
            (Command::Panels(panels), _) => state.panels = panels,
            (Command::Recall(number), _) => state.recall(number),
            (Command::CopyCommand(number), _) => {
                let line = state.command_line(number);
                if let Ok(line) = &line {
                    ctx.copy_text(line.clone());
                }
                state.told =
                    Some(line.map(|line| format!("On the clipboard: {line}")).unwrap_or_else(|why| why));
            }
            (Command::Discard(number), _) => state.history.discard(number),
            (Command::Hide(hidden), _) => state.hidden = hidden,
            (Command::Fold(folded), _) => state.folded = folded,
            (Command::Pair(pair), _) => state.choose_pair(pair),
            (Command::AddPolicy(text), _) => state.add_policy(text),
            (Command::RemovePolicy(side), _) => state.remove_policy(side),
            (Command::Layout(layout), _) => {
                state.bench = Workbench::new(layout);
                state.tell(&Command::Layout(layout));
            }
            (Command::Mark(query), _) => state.put_cursor(query, false),
            (Command::Cursor(cursor), _) => state.put_cursor(cursor.token, cursor.moving),
            (Command::Range(range), _) => state.range = range,
            (Command::Play(play), _) => state.play(play),
            (Command::Hover(hover), _) => state.hover = Some(hover),
            (Command::Ask(question), _) => state.ask.open(question),
            (Command::Pull(change), _) => state.pull.obey(change, ctx),
            (Command::AskForResults, _) => {
                state.ask.open(Question { asked: Asked::Results, typed: "results".to_owned() });
            }
            (Command::Answer(change), _) => {
                let answer = state.ask.obey(change, ctx);
                self.answer(answer, ctx);
            }
            (Command::Drop(paths), _) => state.opening.start(Request::Dropped(paths), theme::wake(ctx)),
            (Command::Help(open), _) => state.help = open,
            (Command::Palette(typed), _) => state.palette = typed,
            (Command::Undo, _) => state.undo(true),
            (Command::Redo, _) => state.undo(false),
            (Command::Back, _) => state.go(true),
            (Command::Forward, _) => state.go(false),
            (Command::OpenResults(path), _) => self.open(&path, ctx),
            (Command::Note(change), _) => {
                if let Some((model, text)) = state.marked_text() {
                    state.marks.change(&model, &text, &change);
                    if let notes::Change::Add(token) = change
                        && !state.panels.runs(state.narrow)
                    {
                        let token = grouped(token);
                        state.told = Some(format!(
                            "Token {token} is marked. Its note is in the column of runs (Ctrl+B)."
                        ));
                    }
                }
            }
            (Command::Tour(tour), _) => {
                if let Some(tab) = tour.tab().filter(|_| tour != state.tour) {
                    state.bench.show(tab);
                }
                state.tour = tour;
                state.tell(&Command::Tour(tour));
            }
            (Command::Dark(dark), _) => {
                ctx.set_theme(if dark { egui::Theme::Dark } else { egui::Theme::Light });
            }
            (Command::ToggleExport, _) => {
                let model = state.diagnosis.as_ref().map_or("", |diagnosis| diagnosis.model.as_str());
                state.export.toggle(state.bench.front, model);
            }
            (Command::Export(controls), _) => state.export.set(controls),
            (Command::Write(wanted), _) => {
                // Where it was written to is told there.
                if !state.export.is_open() {
                    let model = state.diagnosis.as_ref().map_or("", |diagnosis| diagnosis.model.as_str());
                    state.export.toggle(state.bench.front, model);
                }
                let wanted = state.as_shown(wanted, &ctx.global_style().visuals);
                let mut panel = std::mem::take(&mut state.export);
                if let Some(exportable) = state.exportable() {
                    panel.write(ctx, wanted, &exportable);
                }
                state.export = panel;
            }
            (Command::Reveal, _) => state.export.reveal(ctx),
            (Command::Heads(choice), _) => state.heads.choice = choice,
            (Command::Head(head), _) => state.heads.choice.head = head,
            (Command::Pins(pins), _) => state.heads.pins = pins,
            (Command::HeadRows(rows), _) => state.heads.rows = rows,
            (command, _) => state.tell(&command),
        }
    }

    pub(super) fn answer(&mut self, answer: Option<Answer>, ctx: &Context) {
        let settings = &mut self.state.settings;
        match answer {
            Some(Answer::Model(name)) => settings.model = name,
            Some(Answer::Text(path)) => (settings.text, settings.pasted) = (path, None),
            Some(Answer::Pasted(text)) => settings.pasted = Some(text),
            Some(Answer::Folder(path)) => self.state.export.choose_folder(path),
            Some(Answer::Results(path)) => self.open(&path, ctx),
            None => {}
        }
    }

    /// Begins to read a result folder; what is on screen stays until it is read, or if it cannot be.
    pub fn open(&mut self, path: &Path, ctx: &Context) {
        self.state.opening.start(Request::Results(path.to_owned()), theme::wake(ctx));
    }

    pub(super) fn take_opened(&mut self) {
        let state = &mut self.state;
        for opened in state.opening.newest() {
            match opened {
                Opened::Results(result) => {
                    let Results { name, path, info, diagnosis } = *result;
                    recent::used(&mut state.recent.folders, &path);
                    state.keep();
                    (state.job, state.progress, state.inputs) = (None, None, None);
                    state.set_policies(diagnosis.runs.iter().map(|run| run.policy.clone()));
                    state.settings.b_unchosen = false;
                    let settings = state.settings.clone();
                    state.folder = Some(OpenedFolder { name, info: Arc::new(info), settings });
                    state.diagnosis = Some(Arc::new(diagnosis));
                }
                Opened::Model(name) => state.settings.model = name,
                Opened::Text(path) => (state.settings.text, state.settings.pasted) = (path, None),
            }
        }
    }
}
