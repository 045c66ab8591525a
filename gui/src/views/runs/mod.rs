//! The column of runs: a row for every policy, with what it is and what became of it; then which two are held against each other,
//! and the earlier runs.

mod duplicate;
mod fields;
pub mod follow;
mod verdicts;

use eframe::egui::{Button, Checkbox, ComboBox, Grid, Label, RichText, Role, Ui, WidgetInfo, vec2};
use lm_infinite::diagnose::{Diagnosis, RunMeasurement};
use lm_infinite::model::ModelConfig;
use lm_infinite::policy::{PRESETS, PolicySpec};

use super::curves::paint::example;
use super::pair::{Pair, Row};
use super::shown::Hidden;
use crate::command::Command;
use crate::settings::{MOST_POLICIES, Settings};
use crate::theme;
use crate::tour::{self, Part};

/// The two of a difference.
const ORDER: [&str; 2] = ["First", "Second"];

/// What the column shows.
pub struct Runs<'a> {
    /// What is to be run next.
    pub settings: &'a Settings,
    /// Why the last change of a parameter of a policy was refused.
    pub refused: &'a [Option<String>],
    /// The model that the settings name, once it is known.
    pub config: Option<&'a ModelConfig>,
    /// What is on screen.
    pub diagnosis: Option<&'a Diagnosis>,
    /// Tokens that were asked for, where that is known.
    pub asked: Option<u64>,
    /// Policies that are not drawn.
    pub hidden: Hidden,
    /// Policies whose details are folded away.
    pub folded: Hidden,
    /// The two of which differences are.
    pub pair: Pair,
    /// Runs of this session that are not on screen: their numbers, and what they are called.
    pub kept: Vec<Named>,
}

/// A run of this session that is not on screen.
pub struct Named {
    /// Its number among those that are kept.
    pub number: u64,
    /// What it is called.
    pub name: String,
    /// Its policies, each with its name in words.
    pub rows: Vec<(Row, String)>,
}

impl Runs<'_> {
    /// Draws the column.
    pub fn show(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        ui.spacing_mut().item_spacing = vec2(5.0, 4.0);
        let mut settings = self.settings.clone();
        let mut refused = self.refused.to_vec();
        refused.resize(settings.policies.len(), None);
        let runs = self.diagnosis.map_or(0, |diagnosis| diagnosis.runs.len());
        let rows = ui.scope(|ui| {
            for side in 0..settings.policies.len().max(runs) {
                if side > 0 {
                    ui.separator();
                }
                let fields = settings.policies.get_mut(side).zip(refused.get_mut(side));
                let chosen = self.row(ui, side, fields, commands);
                settings.b_unchosen &= !(chosen && side == 1);
            }
        });
        for part in [Part::RunBar, Part::Verdicts] {
            tour::mark(ui.ctx(), part, rows.response.rect);
        }
        if settings != *self.settings {
            commands.push(Command::Settings(settings));
        }
        if refused != self.refused {
            commands.push(Command::Refused(refused));
        }
        self.add_ui(ui, commands);
        let Some(diagnosis) = self.diagnosis else { return };
        ui.separator();
        self.pair_ui(ui, runs, commands);
        let copy = ui.button("Copy as command");
        if copy.on_hover_text("The command of lm-infinite that gives these numbers").clicked() {
            commands.push(Command::CopyCommand(None));
        }
        ui.label(verdicts::reference(diagnosis));
        for note in &diagnosis.notes {
            ui.label(note.to_string());
        }
        self.kept_ui(ui, commands);
    }

    fn trained_length(&self) -> Option<u64> {
        self.config.map(|config| config.trained_length)
    }

    /// What became of a policy, if it is what the row says.
    fn run(&self, side: usize) -> Option<&RunMeasurement> {
        let run = self.diagnosis?.runs.get(side)?;
        let Some(text) = self.settings.policies.get(side) else { return Some(run) };
        let meant = self.trained_length().and_then(|trained| PolicySpec::parse(text.trim(), trained).ok());
        let same = meant.map_or(text.trim() == run.policy, |spec| spec.label == run.policy);
        (same || self.config.is_none()).then_some(run)
    }

    /// One policy: whether it is drawn, how its lines look, its number and its verdict; its fields and factors unless folded away. True if
    /// the reader chose it in them.
    fn row(
        &self,
        ui: &mut Ui,
        side: usize,
        fields: Option<(&mut String, &mut Option<String>)>,
        commands: &mut Vec<Command>,
    ) -> bool {
        let mut chosen = false;
        let run = self.run(side);
        let written = fields.as_ref().map(|(text, _)| text.trim().to_owned());
        let policy = run.map(|run| run.policy.clone()).or(written).unwrap_or_default();
        let unfolded = !self.folded.has(side);
        ui.horizontal(|ui| {
            self.name_ui(ui, side, run.is_some(), &policy, commands);
        });
        match (run, self.diagnosis) {
            (Some(run), Some(diagnosis)) => {
                let (words, failed) = verdicts::short(diagnosis, run);
                let words = if failed { RichText::new(&words).strong() } else { RichText::new(&words) };
                ui.add(Label::new(words).truncate()).on_hover_text("Mean loss, and what became of it");
            }
            (None, Some(_)) => {
                ui.weak("not read yet: Run (Ctrl+R)");
            }
            (_, None) => {}
        }
        if !unfolded {
            return chosen;
        }
        if let Some((text, refused)) = fields {
            ui.horizontal_wrapped(|ui| chosen = fields::policy(ui, side, text, refused, self.config));
            ui.horizontal_wrapped(|ui| self.change_ui(ui, side, &policy, commands));
        }
        if let (Some(run), Some(diagnosis)) = (run, self.diagnosis) {
            let grid = Grid::new(("verdict", side)).num_columns(2).spacing([8.0, 2.0]).min_row_height(0.0);
            grid.show(ui, |ui| verdicts::rows(ui, diagnosis, run, self.asked));
        }
        chosen
    }

    fn name_ui(&self, ui: &mut Ui, side: usize, read: bool, policy: &str, commands: &mut Vec<Command>) {
        let (name, unfolded) = (theme::name(side), !self.folded.has(side));
        let fold = ui.add(Button::new(if unfolded { "⏷" } else { "⏵" }).small().frame(false));
        let words = format!("Details of {name}");
        fold.widget_info(|| WidgetInfo::selected(Role::Button, true, unfolded, &words));
        if fold.on_hover_text("Parameters, and the verdict on every factor").clicked() {
            commands.push(Command::Fold(self.folded.with(side, unfolded)));
        }
        if read {
            let mut drawn = !self.hidden.has(side);
            let tick = ui.add(Checkbox::without_text(&mut drawn));
            let draw = format!("Draw {name}");
            tick.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, drawn, &draw));
            tick.on_hover_text(draw);
            if drawn == self.hidden.has(side) {
                commands.push(Command::Hide(self.hidden.with(side, !drawn)));
            }
        }
        example(ui, side);
        let words =
            RichText::new(format!("{name}  {policy}")).color(theme::side(ui.visuals(), side)).strong();
        let unchosen = side == 1 && self.settings.b_unchosen;
        let why = "\nNobody chose it: where the model cannot follow it, another stands in, and that is said";
        let help = format!("{policy}{}", if unchosen { why } else { "" });
        ui.add(Label::new(words).truncate()).on_hover_text(help);
    }

    /// Another policy like this one, or this one less.
    fn change_ui(&self, ui: &mut Ui, side: usize, policy: &str, commands: &mut Vec<Command>) {
        let (name, count) = (theme::name(side), self.settings.policies.len());
        if count < MOST_POLICIES {
            let menu = ui.menu_button("Duplicate…", |ui| {
                duplicate::show(ui, policy, self.trained_length(), commands);
            });
            let words = format!("Duplicate {name}");
            menu.response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
            menu.response.on_hover_text("One policy more, like this one but for one parameter");
        }
        let remove = ui.add_enabled(count > 1, Button::new("Remove"));
        remove.widget_info(|| WidgetInfo::labeled(Role::Button, count > 1, format!("Remove {name}")));
        if remove.on_hover_text("The next run is without it").clicked() {
            commands.push(Command::RemovePolicy(side));
        }
    }

    /// One policy more.
    fn add_ui(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        if self.settings.policies.len() >= MOST_POLICIES {
            ui.weak(format!("{MOST_POLICIES} policies at most: each has a letter."));
            return;
        }
        let menu = ui.menu_button("+ Policy", |ui| {
            for (preset, help) in PRESETS {
                let why = follow::refusal(self.config, preset);
                let button = ui.add_enabled(why.is_none(), Button::new(*preset)).on_hover_text(*help);
                if button.on_disabled_hover_text(why.unwrap_or_default()).clicked() {
                    commands.push(Command::AddPolicy((*preset).to_owned()));
                }
            }
        });
        menu.response.on_hover_text("One policy more in the next run");
    }

    /// Which two are held against each other.
    fn pair_ui(&self, ui: &mut Ui, runs: usize, commands: &mut Vec<Command>) {
        let earlier: usize = self.kept.iter().map(|kept| kept.rows.len()).sum();
        if runs + earlier < 3 && earlier == 0 {
            return;
        }
        let mut pair = self.pair;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 3.0;
            ui.label("Difference");
            for (place, order) in ORDER.into_iter().enumerate() {
                let mut row = pair.row(place);
                let menu = ComboBox::from_id_salt(("pair", place)).width(26.0).selected_text(row.name());
                let menu = menu.show_ui(ui, |ui| {
                    let here = (0..runs).map(Row::Here).map(|row| (row, row.name()));
                    let earlier = self.kept.iter().rev().flat_map(|kept| kept.rows.iter().cloned());
                    for (other, name) in here.chain(earlier) {
                        let entry = ui.selectable_value(&mut row, other, &name);
                        let name = format!("{order}: {name}");
                        entry.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
                    }
                });
                let name = format!("{} of the difference", order);
                menu.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, &name));
                let help = "What the timeline, the text and the heads show the difference of: of two policies that read the same \
                            tokens, of this run or of earlier ones";
                menu.response.on_hover_text(help);
                pair = if place == 0 { pair.with_first(row) } else { pair.with_second(row) };
                if place == 0 {
                    ui.label("\u{2212}");
                }
            }
        });
        if pair != self.pair {
            commands.push(Command::Pair(pair));
        }
    }

    /// Earlier runs, the newest first.
    fn kept_ui(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        if self.kept.is_empty() {
            return;
        }
        ui.separator();
        ui.strong("Earlier runs");
        for Named { number, name, .. } in self.kept.iter().rev() {
            ui.horizontal(|ui| {
                let discard = ui.small_button("×");
                discard.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Remove {name}")));
                if discard.on_hover_text("Remove it").clicked() {
                    commands.push(Command::Discard(*number));
                }
                let copy = ui.small_button("📋");
                copy.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Command of {name}")));
                if copy.on_hover_text("Copy as command").clicked() {
                    commands.push(Command::CopyCommand(Some(*number)));
                }
                let show = ui.add(Button::new(name).truncate());
                if show.on_hover_text(format!("Show it again: {name}")).clicked() {
                    commands.push(Command::Recall(*number));
                }
            });
        }
    }
}
