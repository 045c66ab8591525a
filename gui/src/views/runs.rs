//! The column of runs: what every policy is, and what became of it.

use eframe::egui::{Button, Role, Ui, WidgetInfo, vec2};
use lm_infinite::diagnose::Diagnosis;

use super::shown::Hidden;
use super::{policies, verdicts};
use crate::command::Command;
use crate::settings::Settings;
use crate::tour::{self, Part};

/// What the column shows.
pub struct Runs<'a> {
    /// What is to be run next.
    pub settings: &'a Settings,
    /// Why the last change of a parameter of A or B was refused.
    pub refused: &'a [Option<String>; 2],
    /// That of the model that the settings name, once it is known.
    pub trained_length: Option<u64>,
    /// What is on screen.
    pub diagnosis: Option<&'a Diagnosis>,
    /// Tokens that were asked for, where that is known.
    pub asked: Option<u64>,
    /// Policies that are not drawn.
    pub hidden: Hidden,
    /// Runs of this session that are not on screen: their numbers, and what they are called.
    pub kept: Vec<(u64, String)>,
}

impl Runs<'_> {
    /// Draws the column.
    pub fn show(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        ui.spacing_mut().item_spacing = vec2(5.0, 4.0);
        let (mut settings, mut refused) = (self.settings.clone(), self.refused.clone());
        let fields = ui.scope(|ui| {
            for (side, (text, refused)) in settings.policies.iter_mut().zip(&mut refused).enumerate() {
                ui.horizontal_wrapped(|ui| policies::policy(ui, side, text, refused, self.trained_length));
                ui.add_space(2.0);
            }
        });
        tour::mark(ui.ctx(), Part::RunBar, fields.response.rect);
        if settings != *self.settings {
            commands.push(Command::Settings(settings));
        }
        if refused != *self.refused {
            commands.push(Command::Refused(refused));
        }
        let Some(diagnosis) = self.diagnosis else { return };
        ui.separator();
        let rows = ui.scope(|ui| verdicts::show(ui, diagnosis, self.asked, self.hidden));
        if rows.inner != self.hidden {
            commands.push(Command::Hide(rows.inner));
        }
        tour::mark(ui.ctx(), Part::Verdicts, rows.response.rect);
        for note in &diagnosis.notes {
            ui.label(note.to_string());
        }
        self.kept_ui(ui, commands);
    }

    /// Earlier runs, the newest first.
    fn kept_ui(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        if self.kept.is_empty() {
            return;
        }
        ui.separator();
        ui.strong("Earlier runs");
        for (number, name) in self.kept.iter().rev() {
            ui.horizontal(|ui| {
                let discard = ui.small_button("×");
                discard.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Remove {name}")));
                if discard.on_hover_text("Remove it").clicked() {
                    commands.push(Command::Discard(*number));
                }
                let show = ui.add(Button::new(name).truncate());
                if show.on_hover_text(format!("Show it again: {name}")).clicked() {
                    commands.push(Command::Recall(*number));
                }
            });
        }
    }
}
