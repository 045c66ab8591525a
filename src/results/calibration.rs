//! The result folder of a calibration.
//!
//! | file | what |
//! |---|---|
//! | `calibrate.csv` | how often each outcome came, by row and verdict |
//! | `cases.csv` | every case: its verdicts, and the reading that says what is right |
//! | `rates.csv` | the rates that are promised |
//! | `calibrate.json` | all of it |

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::RunInfo;
use super::storable::Storable;
use super::store::{from_json, save, to_json};
use super::task::Table;
use crate::calibrate::{Calibration, Measure};
use crate::error::Result;

fn cell(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn by_row(calibration: &Calibration) -> Table {
    let columns = [
        "case",
        "expected",
        "model",
        "trained_length",
        "policy",
        "tokens",
        "default_length",
        "verdict",
        "set_apart",
        "n",
        "fails",
        "holds",
        "undecided",
        "not_finite",
        "wrong_share",
        "wrong_low",
        "wrong_high",
    ];
    let mut table = Table::new("calibrate", &columns);
    for (index, row) in calibration.rows.iter().enumerate() {
        let all = calibration.cases.iter().filter(|case| case.row == index).count() as u64;
        for measure in Measure::ALL {
            let counts = calibration.counts(index, measure);
            let head = [
                row.name.clone(),
                row.expected.to_string(),
                row.model.clone(),
                row.trained_length.to_string(),
                row.policy.clone(),
                row.tokens.to_string(),
                row.default_length.to_string(),
                measure.to_string(),
            ];
            let counts = [
                all - counts.n(),
                counts.n(),
                counts.fails,
                counts.holds,
                counts.undecided,
                counts.not_finite,
            ];
            let wrong = calibration.wrong_share(index, measure);
            let share = [
                cell(wrong.map(|wrong| wrong.share)),
                cell(wrong.map(|wrong| wrong.low)),
                cell(wrong.map(|wrong| wrong.high)),
            ];
            table
                .rows
                .push(head.into_iter().chain(counts.map(|count| count.to_string())).chain(share).collect());
        }
    }
    table
}

fn by_case(calibration: &Calibration) -> Table {
    let columns = [
        "case",
        "text",
        "tokens",
        "counts",
        "reading",
        "reading_of",
        "reading_effect_nats",
        "reading_low_nats",
        "reading_high_nats",
        "reading_tokens",
        "verdict",
        "outcome",
        "wrong",
        "effect",
        "low",
        "high",
    ];
    let mut table = Table::new("cases", &columns);
    for case in &calibration.cases {
        let Some(row) = calibration.rows.get(case.row) else { continue };
        for judged in &case.judged {
            table.rows.push(vec![
                row.name.clone(),
                case.text.clone(),
                case.tokens.to_string(),
                case.counts(row).to_string(),
                case.truth.to_string(),
                cell(case.reading.map(|reading| reading.source)),
                cell(case.reading.map(|reading| reading.effect)),
                cell(case.reading.map(|reading| reading.interval[0])),
                cell(case.reading.map(|reading| reading.interval[1])),
                cell(case.reading.map(|reading| reading.tokens)),
                judged.measure.to_string(),
                judged.outcome.to_string(),
                case.is_wrong(row, judged.measure).to_string(),
                cell(judged.effect),
                cell(judged.interval.map(|interval| interval[0])),
                cell(judged.interval.map(|interval| interval[1])),
            ]);
        }
    }
    table
}

fn rates(calibration: &Calibration) -> Table {
    let mut table =
        Table::new("rates", &["rate", "verdict", "count", "n", "share", "low", "high", "limit", "met"]);
    for rate in calibration.rates() {
        table.rows.push(vec![
            rate.name.clone(),
            rate.measure.to_string(),
            rate.count.to_string(),
            rate.share.map_or(0, |share| share.trials).to_string(),
            cell(rate.share.map(|share| share.share)),
            cell(rate.share.map(|share| share.low)),
            cell(rate.share.map(|share| share.high)),
            rate.limit.to_string(),
            cell(rate.met),
        ]);
    }
    table
}

impl Storable for Calibration {
    type Whole = Self;

    const KIND: &'static str = "calibration";
    const NAMED: &'static str = "a calibration";
    const FILE: &'static str = "calibrate.json";
    const FILES: &'static [&'static str] =
        &["calibrate.csv", "calibrate.json", "cases.csv", "rates.csv", "summary.txt"];

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, false)?;
        save(&folder.join("summary.txt"), &Calibration::summary(self))?;
        for table in [by_row(self), by_case(self), rates(self)] {
            save(&folder.join(format!("{}.csv", table.name)), &table.csv())?;
        }
        Ok(())
    }

    /// Counts are a table; there is no figure of them.
    fn draw(&self, _: &RunInfo, _: &Path) -> Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn read(folder: &Path) -> Result<Self> {
        from_json(&folder.join(Self::FILE))
    }

    fn summary(&self) -> String {
        Calibration::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        // A struct of numbers and words always has a JSON form.
        let mut data = serde_json::to_value(self).unwrap_or_else(|_| json!({}));
        for (index, row) in self.rows.iter().enumerate() {
            for measure in Measure::ALL {
                data["rows"][index]["outcomes"][measure.to_string()] = json!(self.counts(index, measure));
            }
            data["rows"][index]["name"] = row.name.clone().into();
        }
        data["rates"] = json!(self.rates());
        data["out"] = out.display().to_string().into();
        data
    }
}
