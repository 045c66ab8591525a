//! How long a diagnosis will take, said before it begins, and `--budget`: policies and tokens that fit a time.

use std::time::Duration;

use lm_infinite_runtime::corpus;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicySpec};
use lm_infinite_runtime::text::Text;

use super::inputs::Model;
use crate::cost::ReadingCost;
use crate::error::Error;
use crate::evaluate::ReferenceWindows;
use crate::words::{about, grouped};

/// Multiply-adds below which a diagnosis takes less than half a minute, and is begun without a word: measuring how long it takes would
/// be a part of it that is felt.
const SECONDS: f64 = 2e12;

/// Fewest tokens, of all policies together, of which it is worth to say how long they take: measuring reads 150 of them.
const WORTH: u64 = 3000;

/// What a diagnosis costs beside reading, as a part of it.
const BESIDE: f64 = 0.2;

/// Tokens on which speed is measured.
const MEASURED: u64 = 512;

/// Fewest tokens that are read.
const LEAST: u64 = 64;

/// Policies to compare, from the most on, where time decides.
const SETS: [&[&str]; 4] = [
    &["vanilla", "window", "lambda", "ceiling", "lm-infinite"],
    &["vanilla", "ceiling", "lm-infinite"],
    &["vanilla", "lm-infinite"],
    &["vanilla"],
];

/// What a time allows.
pub struct Chosen {
    /// The policies.
    pub policies: Vec<PolicySpec>,
    /// Tokens to read.
    pub tokens: u64,
    /// Is there time for the three causes?
    pub causes: bool,
    /// What was chosen, and how long it takes.
    pub note: Note,
}

/// How long `policies` over `tokens` tokens will take, where that is more than seconds, and much more than measuring it.
pub fn forecast(model: &Model, policies: &[PolicySpec], tokens: u64) -> anyhow::Result<Option<Note>> {
    let parameters = model.loaded.config.block_parameters() as f64;
    let all = tokens.saturating_mul(policies.len() as u64 + 1);
    if all < WORTH || parameters * all as f64 <= SECONDS {
        return Ok(None);
    }
    let cost = measure(model, tokens)?;
    let under = match policies {
        [only] => only.label.clone(),
        many => format!("{} policies", many.len()),
    };
    let time = about(needed(&cost, model, policies, tokens));
    let said = format!(
        "about {time}: {} within the training length, and under {under}",
        crate::words::tokens(tokens)
    );
    Ok(Some(Note::new("time", said)))
}

/// Policies and tokens that fit `budget`; those that are `given` stay, `default` is what would be read without a limit.
///
/// # Errors
/// Where nothing that says anything fits.
pub fn choose(
    model: &Model,
    budget: Duration,
    given: (&[String], Option<u64>),
    default: u64,
) -> anyhow::Result<Chosen> {
    let (policies, tokens) = given;
    let wanted = tokens.unwrap_or(default);
    let cost = measure(model, wanted)?;
    let sets: Vec<Vec<PolicySpec>> = match policies {
        [] => SETS.iter().map(|set| model.policies(&model.followed(set), &[])).collect::<Result<_, _>>()?,
        given => vec![model.policies(given, &[])?],
    };
    let needs = |set: &[PolicySpec], tokens| needed(&cost, model, set, tokens);
    // As many policies as fit over all tokens; else the fewest that show a fix, over as many tokens as fit.
    let whole = sets.iter().find(|set| needs(set, wanted) <= budget).map(|set| (set, wanted));
    let trained = model.trained_length();
    let beyond = trained + trained / 8;
    let most = |set: &[PolicySpec]| {
        let (mut fits, mut too_many) = (0, wanted);
        while fits + 1 < too_many {
            let middle = fits + (too_many - fits) / 2;
            if needs(set, middle) <= budget { fits = middle } else { too_many = middle }
        }
        fits
    };
    let shorter = || {
        let fewest = &sets[sets.len().saturating_sub(2)..];
        let long = fewest.iter().map(|set| (set, most(set))).find(|&(_, tokens)| tokens >= beyond);
        long.or_else(|| fewest.last().map(|set| (set, most(set))).filter(|&(_, tokens)| tokens >= LEAST))
    };
    let chosen = whole.or_else(|| if tokens.is_none() { shorter() } else { None });
    let Some((set, tokens)) = chosen else {
        let least = sets.last().map_or(Duration::ZERO, |set| needs(set, wanted));
        let reason = format!(
            "{} under what was asked for takes about {}; leave out --tokens or --policy, or give more time",
            crate::words::tokens(wanted),
            about(least)
        );
        return Err(Error::input("--budget", reason).into());
    };
    let takes = needs(set, tokens);
    // Eight policies, of which these are some.
    let causes = set.first().is_some_and(|spec| {
        takes.saturating_add(cost.of_run(&spec.policy, tokens).saturating_mul(8)) <= budget
    });
    let names: Vec<&str> = set.iter().map(|spec| spec.label.as_str()).collect();
    let mut said = format!(
        "{} under {}, about {} of {}",
        crate::words::tokens(tokens),
        names.join(", "),
        about(takes),
        about(budget)
    );
    if tokens <= trained {
        let more = format!(
            "; nothing beyond the training length of {} tokens fits, so nothing can fail",
            grouped(trained)
        );
        said.push_str(&more);
    }
    if !causes {
        said.push_str("; without causes");
    }
    Ok(Chosen { policies: set.clone(), tokens, causes, note: Note::new("--budget", said) })
}

fn measure(model: &Model, farthest: u64) -> anyhow::Result<ReadingCost> {
    let most = model.loaded.config.most_tokens().unwrap_or(u64::MAX);
    let sample = corpus::tokens(&Text::embedded(), &model.loaded.tokenizer, Some(MEASURED.min(most)), None)?;
    Ok(ReadingCost::measure(&model.decoder, &sample.tokens, farthest)?)
}

fn needed(cost: &ReadingCost, model: &Model, policies: &[PolicySpec], tokens: u64) -> Duration {
    let windows = ReferenceWindows::of(&model.loaded.config, tokens);
    let runs: Duration = policies.iter().map(|spec| cost.of_run(&spec.policy, tokens)).sum();
    let read = policies.iter().any(|spec| spec.policy == AttentionPolicy::default())
        && windows.first_is_own(usize::try_from(tokens).unwrap_or(usize::MAX));
    (runs + cost.of_reference(windows, tokens, read)).mul_f64(1.0 + BESIDE)
}
