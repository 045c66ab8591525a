//! A prediction in the folder of a diagnosis: `predicted.json`, and tables of every length and of every head.

use std::path::Path;

use lm_infinite_analysis::effect::MeanEffect;

use super::store::{from_json, save, to_json};
use super::tables::Table;
use crate::error::Result;
use crate::prediction::Predicted;

const FILE: &str = "predicted.json";

/// Writes it into `folder`.
pub fn write(folder: &Path, predicted: &Predicted) -> Result<()> {
    to_json(&folder.join(FILE), predicted, true)?;
    save(&folder.join("predicted_by_length.csv"), &lengths(predicted))?;
    save(&folder.join("predicted.csv"), &heads(predicted))
}

/// Reads it, where the folder has one.
pub fn read(folder: &Path) -> Result<Option<Predicted>> {
    let path = folder.join(FILE);
    path.is_file().then(|| from_json(&path)).transpose()
}

/// Mean, ends of the interval and number of values.
fn cells(effect: Option<MeanEffect>) -> String {
    effect
        .map_or(",,,".to_owned(), |MeanEffect { mean, low, high, n, .. }| format!("{mean},{low},{high},{n}"))
}

fn lengths(predicted: &Predicted) -> String {
    let mut table = Table::new(
        "length_tokens,loss_excess_nats,loss_low,loss_high,loss_n,entropy_nats,entropy_low,entropy_high,entropy_n,\
         entropy_excess_nats,entropy_excess_low,entropy_excess_high,entropy_excess_n",
    );
    for at in &predicted.lengths {
        let values = [at.loss, at.entropy, at.entropy_excess].map(cells).join(",");
        table.row(&at.length.to_string(), &values);
    }
    table.text()
}

fn heads(predicted: &Predicted) -> String {
    let mut table = Table::new(
        "layer,head,length_tokens,logit_excess,logit_excess_low,logit_excess_high,logit_excess_n,\
         start_logit_excess,start_logit_excess_low,start_logit_excess_high,start_logit_excess_n,\
         entropy_excess_nats,entropy_excess_low,entropy_excess_high,entropy_excess_n,logits_exceed,entropy_exceeds",
    );
    for head in &predicted.heads {
        let named = format!("{},{}", u8::from(head.logits_exceed()), u8::from(head.entropy_exceeds()));
        for at in &head.lengths {
            let values = [at.logits, at.logits_on_start, at.entropy].map(cells).join(",");
            table.row(&head.layer.to_string(), &format!("{},{},{values},{named}", head.head, at.length));
        }
    }
    table.text()
}
