//! How numbers are written in words, in figures and in the JSON of commands, also where there is none because something is not
//! finite.

use std::time::Duration;

use lm_infinite_analysis::NonFinite;
use lm_infinite_analysis::nll::{NllBucket, NllByPosition};
use serde_json::{Value, json};

/// A number with its thousands apart: `12,288`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 token`, `1,024 tokens`.
pub fn tokens(count: u64) -> String {
    if count == 1 { "1 token".to_owned() } else { format!("{} tokens", grouped(count)) }
}

/// A time to one or two digits: `40 s`, `12 min`, `2 h 10 min`, `3 days`.
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..9.5 => format!("{:.0} s", seconds.ceil().max(1.0)),
        ..90.0 => format!("{:.0} s", (seconds / 5.0).round() * 5.0),
        ..5400.0 => format!("{:.0} min", (seconds / 60.0).round()),
        ..172_800.0 => {
            let tens = (seconds / 600.0).round() as u64;
            format!("{} h {} min", tens / 6, tens % 6 * 10)
        }
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// `not finite from position 1,024`, or `not finite` where the position is not known.
pub fn not_finite_from(what: &str, first: Option<u64>) -> String {
    first.map_or_else(|| "not finite".to_owned(), |at| format!("not finite from {what} {}", grouped(at)))
}

/// `2.8076`, `not finite from token 1,024 (3,072 tokens)`, or `no loss` of nothing.
pub fn loss(nll: Option<f64>, non_finite: NonFinite) -> String {
    match nll {
        Some(nll) => format!("{nll:.4}"),
        None if non_finite.any() => {
            format!("{} ({})", not_finite_from("token", non_finite.first), tokens(non_finite.count))
        }
        None => "no loss".to_owned(),
    }
}

/// `2.8076 nats per token (perplexity 16.571)`, or why there is neither.
pub fn loss_and_perplexity(losses: &NllByPosition) -> String {
    match losses.mean() {
        Some(nll) => format!("{nll:.4} nats per token (perplexity {:.3})", nll.exp()),
        None => loss(None, losses.non_finite()),
    }
}

/// A bucket as every `--json` has it.
pub fn bucket_json(bucket: &NllBucket) -> Value {
    let NllBucket { from, to, nll, non_finite, first_non_finite } = bucket;
    let mut json = json!({ "from": from, "to": to, "nll": nll });
    if *non_finite > 0 {
        json["non_finite_tokens"] = (*non_finite).into();
        json["first_non_finite"] = (*first_non_finite).into();
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [0, 999, 1000, 12_288, 1_000_000].map(grouped),
            ["0", "999", "1,000", "12,288", "1,000,000"]
        );
    }

    #[test]
    fn a_loss_is_a_number_or_says_where_it_is_none() {
        let of = |values: &[f32]| {
            let mut losses = NllByPosition::new(4);
            losses.extend(1, values);
            loss_and_perplexity(&losses)
        };
        assert_eq!(of(&[1.0, 2.0]), "1.5000 nats per token (perplexity 4.482)");
        assert_eq!(of(&[1.0, f32::NAN, 2.0, f32::INFINITY]), "not finite from token 2 (2 tokens)");
        assert_eq!(of(&[1.0, 1.0, f32::NAN]), "not finite from token 3 (1 token)");
        assert_eq!(of(&[]), "no loss");
    }

    #[test]
    fn a_place_is_named_where_it_is_known() {
        assert_eq!(not_finite_from("position", Some(1024)), "not finite from position 1,024");
        assert_eq!(not_finite_from("position", None), "not finite");
    }
}
