//! The run bar: what to run, and the buttons.

use eframe::egui::{self, Color32, DragValue, ProgressBar, RichText, Slider, TextEdit, Ui};

use super::{NAMES, SIDES};
use crate::job::Progress;
use crate::settings::{SLIDER_END, Settings};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begin, or begin anew.
    Run,
    /// Wait, or go on.
    Pause,
    /// One chunk more.
    Step,
    /// End.
    Stop,
}

/// Draws the bar; returns the button that was pressed.
pub fn show(
    ui: &mut Ui,
    settings: &mut Settings,
    progress: Option<&Progress>,
    paused: bool,
) -> Option<Command> {
    let mut command = None;
    let running = progress.is_some_and(|progress| !progress.finished);
    ui.horizontal_wrapped(|ui| {
        let field = |ui: &mut Ui, name: &str, value: &mut String, width: f32, hint: &str, help: &str| {
            let label = ui.label(name);
            let edit = TextEdit::singleline(value).desired_width(width).hint_text(hint);
            ui.add(edit).labelled_by(label.id).on_hover_text(help)
        };
        field(
            ui,
            "Model",
            &mut settings.model,
            130.0,
            "tiny-rope",
            "An embedded or pulled name, a .gguf file, or a Hugging Face folder",
        );
        field(
            ui,
            "Text",
            &mut settings.text,
            130.0,
            "embedded text",
            "A text file or a folder of them; empty for the embedded text",
        );
        let label = ui.label("Tokens");
        ui.add(Slider::new(&mut settings.tokens, 256..=SLIDER_END).logarithmic(true).show_value(false))
            .labelled_by(label.id)
            .on_hover_text("How much of the text to read");
        ui.add(DragValue::new(&mut settings.tokens).range(2..=u64::from(u32::MAX)).speed(16.0))
            .on_hover_text("How much of the text to read, typed");
        for side in 0..2 {
            ui.label(RichText::new(NAMES[side]).color(SIDES[side]).strong());
            let help = "NAME[:key=value,…]: vanilla, window, lambda, ceiling, lm-infinite, lm-infinite-topk, \
                        streaming-llm, pi, ntk, yarn";
            let name = format!("Policy {}", NAMES[side]);
            let edit = TextEdit::singleline(&mut settings.policies[side]).desired_width(170.0);
            let response = ui.add(edit).on_hover_text(help);
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, &name));
        }
    });
    ui.horizontal(|ui| {
        let mut button = |ui: &mut Ui, name: &str, enabled: bool, help: &str, pressed: Command| {
            if ui.add_enabled(enabled, egui::Button::new(name)).on_hover_text(help).clicked() {
                command = Some(pressed);
            }
        };
        button(
            ui,
            if running { "Run again" } else { "Run" },
            true,
            "Read the text under both policies",
            Command::Run,
        );
        button(ui, if paused { "Go on" } else { "Pause" }, running, "Wait, and go on later", Command::Pause);
        button(ui, "Step", running && paused, "Read the next 256 tokens", Command::Step);
        button(ui, "Stop", running, "End here; what was measured stays", Command::Stop);
        if let Some(progress) = progress {
            let share = progress.position as f32 / progress.total.max(1) as f32;
            let left = match progress.seconds_left() {
                Some(seconds) => format!(", {seconds:.0} s left"),
                None => String::new(),
            };
            let words = format!(
                "{}: {} of {} tokens, {:.0} tokens/s{left}",
                progress.phase, progress.position, progress.total, progress.tokens_per_second
            );
            ui.add(ProgressBar::new(share).desired_width(180.0).desired_height(10.0));
            ui.label(words);
        }
    });
    if let Some(failure) = progress.and_then(|progress| progress.failure.as_ref()) {
        ui.colored_label(Color32::from_rgb(200, 60, 20), format!("The run could not go on. {failure}"));
    }
    command
}
