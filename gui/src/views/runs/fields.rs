//! The fields of a policy: a preset, how it is written, and its parameters.

use eframe::egui::{self, Button, ComboBox, DragValue, Id, TextEdit, Ui};
use lm_infinite::model::ModelConfig;
use lm_infinite::policy::{PRESETS, PolicySpec};

use super::follow::refusal;
use crate::theme;
use crate::views::room::room;

/// Room for the name and the value of a parameter, in points.
const FIELD: f32 = 100.0;

/// A preset and its parameters. A value that the policy refuses is not taken; `refused` then says why, until a value is
/// taken or the next edit begins. True if the reader chose it, be it the one that was there.
pub fn policy(
    ui: &mut Ui,
    side: usize,
    text: &mut String,
    refused: &mut Option<String>,
    config: Option<&ModelConfig>,
) -> bool {
    let (name, mut taken) = (theme::name(side), false);
    let chosen = text.split(':').next().unwrap_or_default().to_owned();
    let combo =
        ComboBox::from_id_salt(("policy", side)).selected_text(&chosen).width(120.0).show_ui(ui, |ui| {
            for (preset, help) in PRESETS {
                let why = refusal(config, preset);
                let button = Button::selectable(*preset == chosen, *preset);
                let button = ui.add_enabled(why.is_none(), button).on_hover_text(*help);
                if button.on_disabled_hover_text(why.unwrap_or_default()).clicked() {
                    (*text, *refused, taken) = ((*preset).to_owned(), None, true);
                }
            }
        });
    let help = PRESETS.iter().find(|(preset, _)| *preset == chosen).map_or("", |(_, help)| help);
    let words = format!("Policy {name}: {chosen}");
    combo.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, &words));
    combo.response.on_hover_text(help);
    taken |= typed_policy(ui, side, text, refused, config);
    // Without a model nobody knows the defaults.
    let Some(trained_length) = config.map(|config| config.trained_length) else { return taken };
    match PolicySpec::parse(text.trim(), trained_length) {
        Ok(spec) => {
            for (key, value) in spec.parameters() {
                let words = key.replace('_', " ");
                room(ui, FIELD);
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
            let followed = refusal(config, text);
            if let Some(reason) = refused.as_ref().or(followed.as_ref()) {
                ui.colored_label(theme::bad(ui.visuals()), reason.as_str());
            }
        }
        Err(reason) => {
            ui.colored_label(theme::bad(ui.visuals()), reason.to_string());
        }
    }
    taken
}

/// The policy as it is written, to be typed: what is typed is taken when the field is left, if it is a policy. True if something was
/// typed, be it what was there.
fn typed_policy(
    ui: &mut Ui,
    side: usize,
    text: &mut String,
    refused: &mut Option<String>,
    config: Option<&ModelConfig>,
) -> bool {
    // What is being typed, whether it was touched, and the policy that it was begun with.
    let id = Id::unique(("policy as written", side));
    let kept = ui.data(|data| data.get_temp::<(String, bool, String)>(id)).filter(|(_, _, of)| of == text);
    let (mut typed, mut touched, _) = kept.unwrap_or_else(|| (text.clone(), false, String::new()));
    let field =
        ui.add(TextEdit::singleline(&mut typed).desired_width(ui.available_width().clamp(120.0, 190.0)));
    let help =
        "The policy as --policy takes it; those joined by + act together, as in lambda+self-extend (Enter)";
    let name = format!("Policy {}, as written", theme::name(side));
    field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, &name));
    let field = field.on_hover_text(help);
    if field.gained_focus() {
        *refused = None;
    }
    touched |= field.changed();
    let taken = field.lost_focus() && std::mem::take(&mut touched);
    if field.lost_focus() && typed.trim() != text.trim() {
        let read = config.map(|config| PolicySpec::parse(typed.trim(), config.trained_length));
        match read {
            Some(Err(reason)) => *refused = Some(reason.to_string()),
            Some(Ok(_)) if refusal(config, &typed).is_some() => *refused = refusal(config, &typed),
            // Without a model nobody knows; the run will tell.
            Some(Ok(_)) | None => (*text, *refused) = (typed.trim().to_owned(), None),
        }
    }
    let of = text.clone();
    ui.data_mut(|data| data.insert_temp(id, (typed, touched, of)));
    taken
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
