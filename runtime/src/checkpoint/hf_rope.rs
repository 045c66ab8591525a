//! RoPE as `config.json` states it and transformers reads it (its version 5.24 is what this follows).
//!
//! Files of transformers 5 gather everything in `rope_parameters`; older ones have `rope_theta` at the top and a scaling in
//! `rope_scaling`, of which `type` is the older name of `rope_type`. transformers lets `rope_scaling` take the place of
//! `rope_parameters`, where both stand.

use crate::error::{Error, Result};
use crate::formats::json::Json;
use crate::model::config::{LongRope, PositionConfig, RopeLayout};
use crate::note::Note;
use crate::policy::{LongRopeFactors, PositionScaling};

/// What a model type calls its fields, and which dimensions it rotates.
#[derive(Clone, Copy)]
pub(super) struct Names {
    /// Of the base, at the top of the file.
    pub theta: &'static str,
    /// The base where the file gives none.
    pub default_theta: f64,
    /// Of the part of each head that is rotated, at the top of the file, and what it is where no field says so; `None` where the
    /// model type rotates whole heads whatever the file says.
    pub part: Option<(&'static str, f64)>,
    /// The length of the first training where the file's top does not have it, if the model type takes it from nowhere else.
    pub original_length: Option<u64>,
    /// Other names by which the model type calls the scaling `longrope`.
    pub long_rope: &'static [&'static str],
}

/// Those of Llama and most others.
pub(super) const NAMES: Names =
    Names { theta: "rope_theta", default_theta: 10_000.0, part: None, original_length: None, long_rope: &[] };

/// Fields about RoPE of one configuration.
struct Fields<'a> {
    /// The file.
    top: &'a Json,
    /// The object that holds: `rope_scaling`, else `rope_parameters`.
    rope: Option<Json>,
    /// `max_position_embeddings`.
    max_length: u64,
    names: Names,
}

/// The encoding of heads `head_dim` wide. What is passed over goes to `notes`.
///
/// # Errors
/// Fields that are malformed or contradict each other; scalings that are not known.
pub(super) fn read(
    top: &Json,
    names: Names,
    head_dim: usize,
    max_length: u64,
    notes: &mut Vec<Note>,
) -> Result<PositionConfig> {
    let gathered = object(top, "rope_parameters")?;
    let scaling = object(top, "rope_scaling")?;
    if let (Some(gathered), Some(scaling)) = (&gathered, &scaling) {
        refuse_contradiction(top, names, gathered, scaling)?;
    }
    let fields = Fields { top, rope: scaling.or(gathered), max_length, names };
    if let Some(nested) = fields.rope.as_ref().and_then(|rope| {
        ["full_attention", "sliding_attention"].into_iter().find(|kind| rope.value(kind).is_some())
    }) {
        let detail = format!("{}: a RoPE of its own for layers of `{nested}`", top.path().display());
        return Err(Error::unsupported("RoPE that differs from layer to layer", detail));
    }
    encoding(&fields, head_dim, notes)
}

/// The same where `rope_parameters` holds an object of its own for layers of `kind` (`full_attention`, `sliding_attention`), as
/// transformers 5 writes it; older files have fields at the top, and `rope_scaling`, where `scaled` allows it.
///
/// # Errors
/// As [`read`]; a `rope_parameters` without kinds of layers; two places for one thing.
pub(super) fn read_of_kind(
    top: &Json,
    (kind, scaled): (&str, bool),
    names: Names,
    head_dim: usize,
    max_length: u64,
    notes: &mut Vec<Note>,
) -> Result<PositionConfig> {
    let gathered = object(top, "rope_parameters")?;
    let own = gathered.as_ref().map(|gathered| object(gathered, kind)).transpose()?.flatten();
    let kinds = ["full_attention", "sliding_attention"];
    if let Some(other) = gathered.as_ref().and_then(|gathered| {
        gathered.fields().map(|(key, _)| key.to_owned()).find(|key| !kinds.contains(&key.as_str()))
    }) {
        let expected = "an object for layers of `full_attention` and one for `sliding_attention`";
        return Err(top.malformed("rope_parameters", expected, other));
    }
    let scaling = if scaled { object(top, "rope_scaling")? } else { None };
    let rope = match (own, scaling) {
        (Some(_), Some(_)) => {
            let expected = "one place for RoPE: write all of it into `rope_parameters`";
            return Err(top.malformed("rope_scaling", expected, "both"));
        }
        (own, scaling) => own.or(scaling),
    };
    encoding(&Fields { top, rope, max_length, names }, head_dim, notes)
}

fn encoding(fields: &Fields<'_>, head_dim: usize, notes: &mut Vec<Note>) -> Result<PositionConfig> {
    let &Fields { top, names, .. } = fields;
    let theta = fields.number(names.theta, "rope_theta")?.unwrap_or(names.default_theta);
    let scaling = fields.scaling()?;
    // Read where something is scaled; a number in any case.
    for object in [Some(top), fields.rope.as_ref()].into_iter().flatten() {
        object.integer("original_max_position_embeddings")?;
    }
    if let Some((name, default)) = names.part {
        let part = fields.number(name, "partial_rotary_factor")?.unwrap_or(default);
        // As Python's `int` rounds.
        let dim = (head_dim as f64 * part) as usize;
        if !(part > 0.0 && part <= 1.0) || dim == 0 || !dim.is_multiple_of(2) {
            let expected = format!("a part of a head of {head_dim} that has an even number of dimensions");
            return Err(top.malformed(name, expected, part));
        }
        let long_rope = long_rope(fields, scaling, dim)?;
        return Ok(PositionConfig::Rope { theta, dim, layout: RopeLayout::HalfSplit, scaling, long_rope });
    }
    const PART: &str = "partial_rotary_factor";
    if let Some(part) = fields.number(PART, PART)?.filter(|&part| part != 1.0) {
        if scaling != PositionScaling::None {
            let detail = format!("{}: partial_rotary_factor = {part}", top.path().display());
            return Err(Error::unsupported("RoPE scaling over a part of each head", detail));
        }
        notes.push(Note::warning(
            "partial_rotary_factor",
            format!(
                "{part} is passed over, as transformers does for this model type: whole heads are rotated"
            ),
        ));
    }
    let long_rope = long_rope(fields, scaling, head_dim)?;
    Ok(PositionConfig::Rope { theta, dim: head_dim, layout: RopeLayout::HalfSplit, scaling, long_rope })
}

/// Asks for what the file says of RoPE where positions enter by `encoding` instead; a scaling that has no meaning there is told.
pub(super) fn pass_over(top: &Json, encoding: &str, notes: &mut Vec<Note>) -> Result<()> {
    top.number(NAMES.theta)?;
    for key in ["rope_parameters", "rope_scaling"] {
        let Some(rope) = object(top, key)? else { continue };
        rope.ask_for_all();
        let kind = kind(&rope)?;
        if kind != "default" {
            let said = format!("`{kind}` is passed over: positions enter by {encoding}");
            notes.push(Note::new(key, said));
        }
    }
    Ok(())
}

fn long_rope(fields: &Fields<'_>, scaling: PositionScaling, dim: usize) -> Result<Option<LongRope>> {
    match scaling {
        PositionScaling::LongRope { .. } => fields.long_rope(dim).map(Some),
        _ => Ok(None),
    }
}

/// An object that is not empty.
fn object(top: &Json, key: &str) -> Result<Option<Json>> {
    Ok(top.object(key)?.filter(|object| !object.is_empty()))
}

/// Refuses two objects of which one would be lost.
fn refuse_contradiction(top: &Json, names: Names, gathered: &Json, scaling: &Json) -> Result<()> {
    let theta = |object: &Json| object.number("rope_theta");
    let holds = theta(scaling)?.or(top.number(names.theta)?).unwrap_or(names.default_theta);
    let kind = kind(gathered)?;
    let lost = match theta(gathered)? {
        Some(lost) if lost != holds => {
            format!("a base of {lost} in `rope_parameters` and of {holds} without it")
        }
        _ if kind != "default" && kind != self::kind(scaling)? => format!("`{kind}` in `rope_parameters`"),
        _ => return Ok(()),
    };
    let expected = "one place for RoPE: with both, transformers takes this one alone; write all of it into `rope_parameters`";
    Err(top.malformed("rope_scaling", expected, lost))
}

fn kind(rope: &Json) -> Result<&str> {
    match rope.text("rope_type")? {
        Some(kind) => Ok(kind),
        None => Ok(rope.text("type")?.unwrap_or("default")),
    }
}

impl Fields<'_> {
    /// A number of the object that holds, or of the file's top, by its name in either.
    fn number(&self, top: &str, within: &str) -> Result<Option<f64>> {
        let at_top = self.top.number(top)?;
        let Some(rope) = &self.rope else { return Ok(at_top) };
        match (rope.number(within)?, at_top) {
            (Some(value), Some(other)) if value != other => {
                let expected = format!("{value}, as `{}` has it: one place for RoPE", rope.name(within));
                Err(self.top.malformed(top, expected, other))
            }
            (within, at_top) => Ok(within.or(at_top)),
        }
    }

    /// Length of the first training. The field at the top goes first (files of Phi-3 have it there).
    fn original_length(&self, rope: &Json) -> Result<u64> {
        const KEY: &str = "original_max_position_embeddings";
        let length = match self.top.integer(KEY)?.or(self.names.original_length) {
            Some(length) => Some(length),
            None => rope.integer(KEY)?,
        };
        Ok(length.unwrap_or(self.max_length).max(1))
    }

    fn scaling(&self) -> Result<PositionScaling> {
        let Some(rope) = &self.rope else { return Ok(PositionScaling::None) };
        let factor = || at_least_one(rope, rope.require("factor", rope.number("factor")?)?);
        match kind(rope)? {
            "default" => Ok(PositionScaling::None),
            name if name == "longrope" || self.names.long_rope.contains(&name) => {
                Ok(PositionScaling::LongRope { factors: LongRopeFactors::ByLength })
            }
            "linear" => Ok(PositionScaling::Linear { factor: factor()? }),
            "dynamic" => {
                Ok(PositionScaling::DynamicNtk { factor: factor()?, original_length: self.max_length })
            }
            "yarn" => self.yarn(rope),
            "llama3" => Ok(PositionScaling::Llama3 {
                factor: factor()?,
                original_length: self.original_length(rope)?,
                low_frequency: rope.require("low_freq_factor", rope.number("low_freq_factor")?)?,
                high_frequency: rope.require("high_freq_factor", rope.number("high_freq_factor")?)?,
            }),
            other => {
                let detail = format!(
                    "{}: supported are default, linear, dynamic, yarn, longrope and llama3",
                    rope.path().display()
                );
                Err(Error::unsupported(format!("RoPE scaling `{other}`"), detail))
            }
        }
    }

    /// The attention factor is the file's own; else, from `mscale` m and `mscale_all_dim` a where both are given,
    /// `(0.1·m·ln factor + 1) / (0.1·a·ln factor + 1)`; else as published.
    fn yarn(&self, rope: &Json) -> Result<PositionScaling> {
        let original_length = self.original_length(rope)?;
        let factor = match rope.number("factor")? {
            Some(factor) => factor,
            None => self.max_length as f64 / original_length as f64,
        };
        let factor = at_least_one(rope, factor)?;
        let nonzero = |key| rope.number(key).map(|value| value.filter(|&value| value != 0.0));
        let attention_factor =
            match (rope.number("attention_factor")?, nonzero("mscale")?, nonzero("mscale_all_dim")?) {
                (Some(given), ..) => Some(given),
                (None, Some(over), Some(under)) => {
                    let of = |scale: f64| 0.1 * scale * factor.ln() + 1.0;
                    Some(of(over) / of(under))
                }
                _ => None,
            };
        Ok(PositionScaling::Yarn {
            factor,
            original_length,
            beta_fast: nonzero("beta_fast")?.unwrap_or(32.0),
            beta_slow: nonzero("beta_slow")?.unwrap_or(1.0),
            attention_factor,
            exact_bounds: rope.boolean("truncate")? == Some(false),
        })
    }

    /// The attention factor is `sqrt(1 + ln s / ln L)`, `s` the ratio of the largest length to the first one L, unless the file
    /// gives one of them.
    fn long_rope(&self, dim: usize) -> Result<LongRope> {
        let rope = self.rope.as_ref().unwrap_or(self.top);
        let factors = |key: &str| -> Result<Vec<f64>> {
            let expected = format!("{} positive numbers", dim / 2);
            let list = rope.require(key, rope.value(key).and_then(|list| list.as_array()))?;
            let numbers: Vec<f64> = list.iter().filter_map(|number| number.as_f64()).collect();
            let good = |number: &f64| number.is_finite() && *number > 0.0;
            if numbers.len() == list.len() && list.len() == dim / 2 && numbers.iter().all(good) {
                return Ok(numbers);
            }
            let got = format!("a list of {} with {} numbers", list.len(), numbers.len());
            Err(rope.malformed(key, &expected, got))
        };
        let original_length = self.original_length(rope)?.max(2);
        let ratio = match rope.number("factor")? {
            Some(factor) => factor,
            None => self.max_length as f64 / original_length as f64,
        };
        let magnitude = match rope.number("attention_factor")? {
            Some(factor) => factor,
            None if ratio > 1.0 => (1.0 + ratio.ln() / (original_length as f64).ln()).sqrt(),
            None => 1.0,
        };
        if !(magnitude.is_finite() && magnitude > 0.0) {
            return Err(rope.malformed("attention_factor", "a positive number", magnitude));
        }
        Ok(LongRope {
            short: factors("short_factor")?,
            long: factors("long_factor")?,
            original_length,
            magnitude,
        })
    }
}

fn at_least_one(rope: &Json, factor: f64) -> Result<f64> {
    if factor.is_finite() && factor >= 1.0 {
        Ok(factor)
    } else {
        Err(rope.malformed("factor", "at least 1", factor))
    }
}
