//! Policies of two runs are held against each other only where both read the same tokens of the same text.

use std::sync::Arc;

use lm_infinite::diagnose::Diagnosis;
use lm_infinite::results::RunInfo;

use super::checked::Checked;
use super::history::Kept;
use super::state::State;
use crate::inputs::Inputs;
use crate::views::pair::{Earlier, Pair, Row};
use crate::views::rows::Compared;
use crate::words::grouped;

/// Tokens that are compared at a time.
const PIECE: usize = 1 << 16;

/// A run, and what is known of the tokens that it read.
struct Side<'a> {
    name: &'a str,
    diagnosis: &'a Diagnosis,
    inputs: Option<&'a Arc<Inputs>>,
    info: Option<&'a RunInfo>,
}

impl State {
    /// Takes another pair, if the two read the same tokens; else there are words.
    pub fn choose_pair(&mut self, pair: Pair) {
        let refused = earlier(pair).find_map(|row| self.compare(row).err());
        match refused {
            Some(words) => self.told = Some(words),
            None => self.pair = pair,
        }
    }

    /// Looks up the earlier runs of the pair; where one is not there any more, or has read something else, the pair is A and B again.
    pub fn update_compared(&mut self) {
        if self.diagnosis.is_none() {
            return;
        }
        let refused = earlier(self.pair).find_map(|row| self.compare(row).err());
        if let Some(words) = refused {
            self.told = Some(format!("The difference is of A and B again. {words}"));
            self.pair = Pair::default();
        }
        let found = earlier(self.pair).filter_map(|row| self.history.get(row.kept).map(compared));
        let mut found: Vec<_> = found.collect();
        found.dedup_by_key(|compared| compared.kept);
        let same = found.len() == self.earlier.len()
            && found.iter().zip(&self.earlier).all(|(a, b)| Arc::ptr_eq(&a.diagnosis, &b.diagnosis));
        if !same {
            self.earlier = found;
            self.compared_version += 1;
        }
    }

    /// Whether a policy of an earlier run can be held against those on screen.
    fn compare(&mut self, row: Earlier) -> Result<(), String> {
        let checked = std::mem::take(&mut self.checked);
        let Some(diagnosis) = self.diagnosis.as_deref() else {
            return Err("There is no result yet.".to_owned());
        };
        let name = Row::Earlier(row).words();
        let Some(kept) = self.history.get(row.kept).filter(|kept| row.side < kept.diagnosis.runs.len())
        else {
            return Err(format!("{name} is not kept any more."));
        };
        let info = self.folder.as_ref().map(|folder| folder.info.as_ref());
        let here = Side { name: "the run on screen", diagnosis, inputs: self.inputs.as_ref(), info };
        let there = Side {
            name: &name,
            diagnosis: &kept.diagnosis,
            inputs: kept.inputs.as_ref(),
            info: kept.folder.as_ref().map(|folder| folder.info.as_ref()),
        };
        let checked = same_tokens(&here, &there, row.kept, checked)?;
        self.checked = checked;
        Ok(())
    }
}

/// The rows of a pair that are of earlier runs.
fn earlier(pair: Pair) -> impl Iterator<Item = Earlier> {
    pair.rows().into_iter().filter_map(|row| match row {
        Row::Here(_) => None,
        Row::Earlier(row) => Some(row),
    })
}

fn compared(kept: &Kept) -> Compared {
    Compared { kept: kept.number, diagnosis: kept.diagnosis.clone(), inputs: kept.inputs.clone() }
}

/// Whether both read the same tokens, as far as both have read. Of a result folder, which has no tokens, the text is known by its
/// digest.
fn same_tokens(here: &Side<'_>, there: &Side<'_>, kept: u64, checked: Checked) -> Result<Checked, String> {
    let refused = |why: String| format!("{} cannot be held against {}: {why}.", there.name, here.name);
    let (Some(ours), Some(theirs)) = (here.inputs, there.inputs) else {
        return same_text(here, there).map(|()| Checked::default()).map_err(refused);
    };
    let of = [ours, theirs].map(|inputs| Arc::as_ptr(inputs) as usize);
    let known = ours.tokens.len().min(theirs.tokens.len());
    let from = if (checked.kept, checked.of) == (kept, of) { checked.tokens } else { 0 };
    for at in (from..known).step_by(PIECE) {
        let range = at..known.min(at + PIECE);
        let [a, b] = [ours, theirs].map(|inputs| inputs.tokens.range(range.clone()));
        if let Some(differs) = a.iter().zip(&b).position(|(a, b)| a != b) {
            return Err(refused(differ(ours, theirs, at + differs)));
        }
        // Other vocabularies may have the same numbers for other words.
        if here.diagnosis.model != there.diagnosis.model {
            let word = |inputs: &Inputs, id: u32| inputs.tokenizer.token_text(id);
            let other = a.iter().position(|&id| word(ours, id) != word(theirs, id));
            if let Some(differs) = other {
                return Err(refused(differ(ours, theirs, at + differs)));
            }
        }
    }
    Ok(Checked { kept, of, tokens: known })
}

/// What differs at a token, in words.
fn differ(ours: &Inputs, theirs: &Inputs, at: usize) -> String {
    let word = |inputs: &Inputs| {
        let id = inputs.tokens.get(at).unwrap_or_default();
        inputs.tokenizer.token_text(id).map_or_else(|| id.to_string(), |word| format!("“{word}”"))
    };
    let what = if ours.settings.same_text(&theirs.settings) { "tokens differ" } else { "the texts differ" };
    let (here, there) = (word(ours), word(theirs));
    format!("{what}, from token {} on, which is {here} here and {there} there", grouped(at as u64))
}

/// Whether both read the same text with the same model, by what is known without its tokens.
fn same_text(here: &Side<'_>, there: &Side<'_>) -> Result<(), String> {
    if here.diagnosis.model != there.diagnosis.model || here.diagnosis.config != there.diagnosis.config {
        let (a, b) = (&here.diagnosis.model, &there.diagnosis.model);
        return Err(format!("a result folder has no tokens, and the models differ ({a}, {b})"));
    }
    let digest = |side: &Side<'_>| match (side.inputs, side.info) {
        (Some(inputs), _) => Some(inputs.tokens.sample().read.sha256),
        (None, Some(info)) => Some(info.text_read.as_ref()?.sha256.clone()),
        (None, None) => None,
    };
    let digests = [digest(here), digest(there)].map(|digest| digest.filter(|digest| !digest.is_empty()));
    match digests {
        [Some(a), Some(b)] if a == b => Ok(()),
        [Some(_), Some(_)] => Err(
            "a result folder has no tokens, and the texts, as far as they were read, differ by their digests"
                .to_owned(),
        ),
        _ => Err("a result folder has no tokens, and the digest of the text is not known".to_owned()),
    }
}
