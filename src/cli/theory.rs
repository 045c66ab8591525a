//! `theory`: every statement of the paper, its bound and what is measured, side by side.

use std::fmt::Write;

use lm_infinite_analysis::theory::{Claim, Relation, Verdict, claims};
use serde_json::json;

use super::args::Cli;
use super::output::Output;

/// Runs the command.
pub fn run(cli: &Cli, output: &Output) -> anyhow::Result<()> {
    let claims = claims(cli.seed)?;
    output.write(&words(&claims)?, &json!({ "seed": cli.seed, "claims": claims }))
}

/// One paragraph per claim, and the count of verdicts.
fn words(claims: &[Claim]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for claim in claims {
        let relation = match claim.relation {
            Relation::AtLeast => "≥",
            Relation::AtMost => "≤",
            Relation::Equal => "=",
        };
        writeln!(text, "{}: {}", claim.name, verdict(claim.verdict))?;
        writeln!(text, "  says      {} ({})", claim.statement, claim.source)?;
        writeln!(text, "  assumes   {}", claim.assumptions.join("; "))?;
        writeln!(
            text,
            "  measured  {}: {} {relation} {} {}",
            claim.quantity,
            number(claim.measured),
            number(claim.bound),
            claim.unit
        )?;
        writeln!(text, "  on        {}", claim.setting)?;
        if !claim.note.is_empty() {
            writeln!(text, "  note      {}", claim.note)?;
        }
        text.push('\n');
    }
    let count = |wanted| claims.iter().filter(|claim| claim.verdict == wanted).count();
    write!(
        text,
        "{} statements: {} hold, {} hold but say nothing at these numbers, {} refuted",
        claims.len(),
        count(Verdict::Holds),
        count(Verdict::Vacuous),
        count(Verdict::Refuted)
    )?;
    Ok(text)
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Vacuous => "holds, but says nothing here",
        Verdict::Refuted => "refuted: the measured value contradicts it",
    }
}

/// Four digits that count.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.3e}");
    }
    let before = if size < 1.0 { 1 } else { size.log10() as usize + 1 };
    let text = format!("{value:.*}", 5_usize.saturating_sub(before).min(4));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 1.0, 0.12345678, 31.25, 1234.56, 99_999.4, 1e-9, -2.5, 1e12].map(number);
        assert_eq!(shown, ["0", "1", "0.1235", "31.25", "1234.6", "99999", "1.000e-9", "-2.5", "1.000e12"]);
    }

    #[test]
    fn every_claim_is_told_and_counted() {
        let claims = claims(0).expect("computes");
        let text = words(&claims).expect("writes");
        assert!(claims.iter().all(|claim| text.contains(&claim.name) && text.contains(&claim.statement)));
        assert!(text.ends_with("1 refuted"), "{text}");
    }
}
