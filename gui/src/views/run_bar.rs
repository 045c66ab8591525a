//! The run bar: what to run, and the buttons.

use eframe::egui::{
    self, Button, ComboBox, DragValue, Id, Label, ProgressBar, RichText, Slider, TextEdit, Ui,
};
use lm_infinite::policy::{PRESETS, PolicySpec, parse_length};

use super::ask::question::{Asked, Question};
use super::room::room;
use crate::command::Command;
use crate::job::Progress;
use crate::settings::{SLIDER_END, Settings};
use crate::theme;
use crate::words::{grouped, size, time};

/// What the bar shows.
pub struct Bar<'a> {
    /// What it says.
    pub settings: &'a Settings,
    /// Models that can be used at once.
    pub models: &'a [&'static str],
    /// That of the model that the bar names, once it is known.
    pub trained_length: Option<u64>,
    /// Of the run.
    pub progress: Option<&'a Progress>,
    /// The run waits.
    pub paused: bool,
    /// Why the last change of a parameter of A or B was refused.
    pub refused: &'a [Option<String>; 2],
    /// What a run of this would take, in words.
    pub estimate: String,
}

impl Bar<'_> {
    /// Draws the bar.
    pub fn show(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let (mut settings, mut refused) = (self.settings.clone(), self.refused.clone());
        ui.horizontal_wrapped(|ui| {
            model(ui, self.models, &mut settings, commands);
            text(ui, &mut settings, commands);
            length(ui, &mut settings.tokens);
            ui.checkbox(&mut settings.repeat, "Repeat").on_hover_text(
                "Where the text has fewer tokens, go on with its documents, drawn with replacement; \
                 without it, the text is read to its end",
            );
        });
        for (side, (text, refused)) in settings.policies.iter_mut().zip(&mut refused).enumerate() {
            ui.horizontal_wrapped(|ui| policy(ui, side, text, refused, self.trained_length));
        }
        if settings != *self.settings {
            commands.push(Command::Settings(settings));
        }
        if refused != *self.refused {
            commands.push(Command::Refused(refused));
        }
        buttons(ui, self.progress, self.paused, commands);
        if self.progress.is_none_or(|progress| progress.finished) {
            ui.add(Label::new(RichText::new(&self.estimate).small()).wrap());
        }
    }
}

fn model(ui: &mut Ui, models: &[&'static str], settings: &mut Settings, commands: &mut Vec<Command>) {
    let label = ui.label("Model");
    let combo = ComboBox::from_id_salt("model").selected_text(short(&settings.model)).show_ui(ui, |ui| {
        for &name in models {
            ui.selectable_value(&mut settings.model, name.to_owned(), name);
        }
    });
    combo.response.labelled_by(label.id).on_hover_text("A built-in or pulled model");
    let open = ui.button("Open model…");
    if open
        .on_hover_text("A .gguf file or a Hugging Face folder; dropping it on the window does the same")
        .clicked()
    {
        let typed = settings.model.clone();
        commands.push(Command::Ask(Question { asked: Asked::Model, typed }));
    }
}

fn text(ui: &mut Ui, settings: &mut Settings, commands: &mut Vec<Command>) {
    ui.label("Text");
    ui.label(RichText::new(short(settings.text_name())).strong()).on_hover_text(settings.text_name());
    if ui.button("Built-in").on_hover_text("The built-in text").clicked() {
        (settings.text, settings.pasted) = (String::new(), None);
    }
    let open = ui.button("Open text…");
    if open
        .on_hover_text("A text file or a folder of them; dropping it on the window does the same")
        .clicked()
    {
        let typed = settings.text.clone();
        commands.push(Command::Ask(Question { asked: Asked::Text, typed }));
    }
    if ui.button("Paste…").on_hover_text("A text from the clipboard, or typed").clicked() {
        let typed = settings.pasted.as_deref().unwrap_or_default().to_owned();
        commands.push(Command::Ask(Question { asked: Asked::Paste, typed }));
    }
}

fn length(ui: &mut Ui, tokens: &mut u64) {
    room(ui, 220.0);
    let label = ui.label("Tokens");
    ui.add(
        Slider::new(tokens, 256..=SLIDER_END)
            .logarithmic(true)
            .clamping(egui::SliderClamping::Never)
            .show_value(false),
    )
    .labelled_by(label.id)
    .on_hover_text("How much of the text to read");
    let typed = DragValue::new(tokens)
        .range(2..=u64::from(u32::MAX))
        .speed(16.0)
        .custom_parser(|text| parse_length(text.trim()).ok().map(|length| length as f64));
    let response = ui.add(typed).on_hover_text("How much of the text to read, typed: 4096, 32k, 1M");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::SpinButton, true, "Tokens, typed"));
}

/// A preset and its parameters. A value that the policy refuses is not taken; `refused` then says why, until a value is
/// taken or the next edit begins.
fn policy(
    ui: &mut Ui,
    side: usize,
    text: &mut String,
    refused: &mut Option<String>,
    trained_length: Option<u64>,
) {
    let name = theme::name(side);
    let label =
        ui.label(RichText::new(format!("Policy {name}")).color(theme::side(ui.visuals(), side)).strong());
    let chosen = text.split(':').next().unwrap_or_default().to_owned();
    let combo =
        ComboBox::from_id_salt(("policy", side)).selected_text(&chosen).width(130.0).show_ui(ui, |ui| {
            for (preset, help) in PRESETS {
                if ui.selectable_label(*preset == chosen, *preset).on_hover_text(*help).clicked() {
                    (*text, *refused) = ((*preset).to_owned(), None);
                }
            }
        });
    let help = PRESETS.iter().find(|(preset, _)| *preset == chosen).map_or("", |(_, help)| help);
    combo.response.labelled_by(label.id).on_hover_text(help);
    typed_policy(ui, side, text, refused, trained_length);
    // Without a model nobody knows the defaults.
    let Some(trained_length) = trained_length else { return };
    match PolicySpec::parse(text.trim(), trained_length) {
        Ok(spec) => {
            for (key, value) in spec.parameters() {
                let words = key.replace('_', " ");
                ui.label(&words);
                let mut changed = value;
                let mut field = DragValue::new(&mut changed);
                // Of joined presets a key may be called by its preset's name too.
                let own = key.rsplit('.').next().unwrap_or(&key);
                field = match own {
                    "factor" => field.range(1.0..=1e4).speed(0.05).max_decimals(2),
                    "start" | "from_layer" | "k" => field.range(0.0..=65_536.0).speed(0.2).max_decimals(0),
                    _ => field.range(1.0..=1e9).speed(2.0).max_decimals(0),
                };
                let response = ui.add(field).on_hover_text(meaning(spec.preset().as_str(), own));
                response.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::Role::SpinButton, true, format!("{name} {words}"))
                });
                if response.gained_focus() {
                    *refused = None;
                }
                if changed != value {
                    match spec.with(&key, changed, trained_length) {
                        Ok(spec) => (*text, *refused) = (spec.label, None),
                        Err(reason) => *refused = Some(reason.to_string()),
                    }
                }
            }
            if let Some(reason) = refused {
                ui.colored_label(theme::BAD, reason.as_str());
            }
        }
        Err(reason) => {
            ui.colored_label(theme::BAD, reason.to_string());
        }
    }
}

/// The policy as it is written, to be typed: what is typed is taken when the field is left, if it is a policy.
fn typed_policy(
    ui: &mut Ui,
    side: usize,
    text: &mut String,
    refused: &mut Option<String>,
    trained_length: Option<u64>,
) {
    // What is being typed, and the policy that it was begun with.
    let id = Id::unique(("policy as written", side));
    let kept = ui.data(|data| data.get_temp::<(String, String)>(id));
    let mut typed = kept.filter(|(_, of)| of == text).map_or_else(|| text.clone(), |(typed, _)| typed);
    let field = ui.add(TextEdit::singleline(&mut typed).desired_width(190.0));
    let help =
        "The policy as --policy takes it; those joined by + act together, as in lambda+self-extend (Enter)";
    let name = format!("Policy {}, as written", theme::name(side));
    field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, &name));
    let field = field.on_hover_text(help);
    if field.gained_focus() {
        *refused = None;
    }
    if field.lost_focus() && typed.trim() != text.trim() {
        match trained_length.map(|trained| PolicySpec::parse(typed.trim(), trained)) {
            Some(Err(reason)) => *refused = Some(reason.to_string()),
            // Without a model nobody knows; the run will tell.
            Some(Ok(_)) | None => (*text, *refused) = (typed.trim().to_owned(), None),
        }
    }
    let of = text.clone();
    ui.data_mut(|data| data.insert_temp(id, (typed, of)));
}

fn meaning(preset: &str, key: &str) -> &'static str {
    match key {
        "window" if preset == "rerope" => "Largest distance that the position encoding is given, in tokens",
        "window" if preset == "self-extend" => "First distance that is counted in groups, in tokens",
        "group" => "Tokens that share a position beyond the window",
        "chunk" => "Tokens of a chunk: positions are counted from its begin",
        "local" => "Tokens at the begin of a chunk that see the chunk before at true distances",
        "from" => "Number of keys up to which queries stay as they are",
        "start" => "First tokens of the text that every query attends to",
        "window" => "Most recent keys that a query attends to, in tokens",
        "ceiling" => "Largest distance that the position encoding is given, in tokens",
        "k" => "Keys between start and window that are retrieved by their logits (top-k), per head",
        "from_layer" => "First layer that attends to retrieved keys",
        "distance" => "Distance that the position encoding is given for retrieved keys, in tokens",
        _ => "Ratio of the wanted length to the training length",
    }
}

fn buttons(ui: &mut Ui, progress: Option<&Progress>, paused: bool, commands: &mut Vec<Command>) {
    let running = progress.is_some_and(|progress| !progress.finished);
    ui.horizontal_wrapped(|ui| {
        let mut button = |ui: &mut Ui, name: &str, enabled: bool, help: &str, pressed: Command| {
            if ui.add_enabled(enabled, Button::new(name)).on_hover_text(help).clicked() {
                commands.push(pressed);
            }
        };
        let again = if running { "Run again" } else { "Run" };
        button(ui, again, true, "Read the text under both policies (Ctrl+R)", Command::Run);
        let pause = if paused { "Go on" } else { "Pause" };
        button(ui, pause, running, "Wait, and go on later (Space)", Command::Pause);
        button(ui, "Step", running && paused, "Read the next 512 tokens (S)", Command::Step);
        button(ui, "Stop", running, "End here; what was measured stays", Command::Stop);
        if let Some(progress) = progress {
            let share = progress.position as f32 / progress.total.max(1) as f32;
            ui.add(ProgressBar::new(share).desired_width(180.0).desired_height(10.0));
            ui.label(progress_words(progress));
        }
    });
    if let Some(failure) = progress.and_then(|progress| progress.failure.as_ref()) {
        ui.colored_label(theme::BAD, format!("The run ended early. {failure}"));
    }
}

/// How far a run is, how long it takes still, and what memory.
fn progress_words(progress: &Progress) -> String {
    if progress.total == 0 {
        return progress.phase.to_owned();
    }
    let (position, total) = (grouped(progress.position), grouped(progress.total));
    let mut words = format!("{}: {position} of {total} tokens", progress.phase);
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
    const MOST: usize = 28;
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
            phase: "both policies read the text",
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
            "both policies read the text: 1,024 of 100,000,000 tokens, 49,152 tokenized, 2000 tokens/s, 2 h left, takes about \
             60 MB beside the model, 3.2 GB in use"
        );
        let finished = Progress { finished: true, tokenized: 7, ..reading };
        assert!(
            !progress_words(&finished).contains("left") && !progress_words(&finished).contains("tokenized")
        );
    }

    #[test]
    fn long_paths_keep_their_end() {
        assert_eq!(short("tiny-rope"), "tiny-rope");
        let long = short(&format!("/é{}/model.gguf", "x".repeat(60)));
        assert!(long.starts_with('…') && long.ends_with("/model.gguf") && long.chars().count() == 28);
    }
}
