//! A policy like another but for one parameter: what the menu offers.

use eframe::egui::Ui;
use lm_infinite::policy::PolicySpec;

use crate::command::Command;

/// Factors of a parameter that are offered.
const FACTORS: [f64; 3] = [0.5, 2.0, 4.0];

/// Draws the menu.
pub fn show(ui: &mut Ui, policy: &str, trained_length: Option<u64>, commands: &mut Vec<Command>) {
    if ui.button("as it is").on_hover_text("To be changed in its own fields").clicked() {
        commands.push(Command::AddPolicy(policy.to_owned()));
    }
    for (name, written) in trained_length.map_or_else(Vec::new, |trained| variants(policy, trained)) {
        if ui.button(name).on_hover_text(&written).clicked() {
            commands.push(Command::AddPolicy(written));
        }
    }
}

/// Policies that differ in one parameter, with its name and value, as far as the policy takes them.
fn variants(policy: &str, trained_length: u64) -> Vec<(String, String)> {
    let Ok(spec) = PolicySpec::parse(policy, trained_length) else { return Vec::new() };
    let mut all: Vec<(String, String)> = Vec::new();
    for (key, value) in spec.parameters() {
        // Of nothing there is no double.
        let whole = |value: f64| if key.ends_with("factor") { value } else { value.round() };
        let values = FACTORS.map(|factor| whole(if value == 0.0 { 16.0 * factor } else { value * factor }));
        let zero = key.ends_with("start").then_some(0.0);
        for changed in zero.into_iter().chain(values).filter(|changed| *changed != value) {
            let Ok(other) = spec.with(&key, changed, trained_length) else { continue };
            if other.label != spec.label && all.iter().all(|(_, known)| *known != other.label) {
                all.push((format!("{} {changed}", key.replace('_', " ")), other.label));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_differ_in_one_parameter() {
        let all = variants("lm-infinite", 256);
        let find =
            |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, written)| written.as_str());
        assert_eq!(find("window 512"), Some("lm-infinite:start=10,window=512"));
        assert_eq!(find("start 0"), Some("lm-infinite:start=0,window=256"));
        let spec = PolicySpec::parse("lm-infinite", 256).expect("a policy");
        for (name, written) in &all {
            let other = PolicySpec::parse(written, 256).expect("a policy");
            let changed =
                spec.parameters().iter().filter(|known| !other.parameters().contains(known)).count();
            assert!(changed >= 1 && other.label != spec.label, "{name}: {written}");
        }
        assert!(variants("vanilla", 256).is_empty() && variants("nonsense", 256).is_empty());
    }
}
