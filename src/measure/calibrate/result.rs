//! What a calibration found: outcomes by row, and the three rates that are promised.

use lm_infinite_analysis::Proportion;
use lm_infinite_runtime::note::Note;
use serde::{Deserialize, Serialize};

use super::case::{Case, Measure, Truth};
use super::plan::{Expected, Row};
use super::texts::Source;
use crate::diagnose::Outcome;
use crate::words::grouped;

/// Largest share of null cases in which a verdict may be `fails`.
pub const MOST_FALSE_FAILS: f64 = 0.05;
/// Share of null cases at the default length below which `undecided` has to stay.
pub const MOST_UNDECIDED: f64 = 0.2;
/// Largest share of real failures that a verdict on the loss may miss.
pub const MOST_MISSED: f64 = 0.05;

/// A calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Names of the models.
    pub models: Vec<String>,
    /// Names of the texts.
    pub texts: Vec<String>,
    /// Margin of the loss, in nats per token.
    pub margin: f64,
    /// Cases that were planned; fewer are there where the run was stopped.
    pub planned: u64,
    /// What else there is to say.
    pub notes: Vec<Note>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The cases, text by text.
    pub cases: Vec<Case>,
}

/// How often each outcome came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutcomeCounts {
    /// `fails`
    pub fails: u64,
    /// `holds`
    pub holds: u64,
    /// `undecided`
    pub undecided: u64,
    /// `not finite`
    pub not_finite: u64,
}

impl OutcomeCounts {
    fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Fails => &mut self.fails,
            Outcome::Holds => &mut self.holds,
            Outcome::Undecided => &mut self.undecided,
            Outcome::NotFinite => &mut self.not_finite,
        } += 1;
    }

    /// All cases.
    pub fn n(&self) -> u64 {
        self.fails + self.holds + self.undecided + self.not_finite
    }

    /// Cases in which something is said to break.
    pub fn broken(&self) -> u64 {
        self.fails + self.not_finite
    }
}

/// A share that is promised to be small.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Of what.
    pub name: String,
    /// Of which verdict.
    pub measure: Measure,
    /// How often it came.
    pub count: u64,
    /// Its share, with a 95 % interval; `None` without a case.
    pub share: Option<Proportion>,
    /// The promise.
    pub limit: f64,
    /// Is it kept, by the share itself? `None` without a case.
    pub met: Option<bool>,
}

impl Rate {
    fn new(name: &str, measure: Measure, count: u64, n: u64, limit: f64, met: fn(f64, f64) -> bool) -> Self {
        let share = Proportion::of(count, n);
        let met = share.map(|share| met(share.share, limit));
        Self { name: name.to_owned(), measure, count, share, limit, met }
    }
}

impl Case {
    /// Does it count: does the reading agree with how the case was made?
    pub fn counts(&self, row: &Row) -> bool {
        self.truth
            == match row.expected {
                Expected::Null => Truth::Below,
                Expected::Failure => Truth::Above,
            }
    }

    /// The verdict on `measure`.
    pub fn outcome(&self, measure: Measure) -> Outcome {
        let found = self.judged.iter().find(|judged| judged.measure == measure);
        found.map_or(Outcome::Undecided, |judged| judged.outcome)
    }

    /// Is the verdict on `measure` wrong? Of a failure, the loss alone has a known answer.
    pub fn is_wrong(&self, row: &Row, measure: Measure) -> bool {
        let broken = matches!(self.outcome(measure), Outcome::Fails | Outcome::NotFinite);
        self.counts(row)
            && match row.expected {
                Expected::Null => broken,
                Expected::Failure => measure == Measure::Loss && !broken,
            }
    }
}

impl Calibration {
    /// The cases of a row that count.
    fn counted(&self, row: usize) -> impl Iterator<Item = &Case> {
        self.cases
            .iter()
            .filter(move |case| case.row == row && self.rows.get(row).is_some_and(|row| case.counts(row)))
    }

    /// Outcomes of `measure` in the cases of a row that count.
    pub fn counts(&self, row: usize, measure: Measure) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        self.counted(row).for_each(|case| counts.add(case.outcome(measure)));
        counts
    }

    /// Share of the cases of a row that count whose verdict on `measure` is wrong, with a 95 % interval; `None` where there is no
    /// case, or no answer is known.
    pub fn wrong_share(&self, row: usize, measure: Measure) -> Option<Proportion> {
        let expected = self.rows.get(row)?.expected;
        let counts = self.counts(row, measure);
        let wrong = match expected {
            Expected::Null => counts.broken(),
            Expected::Failure if measure == Measure::Loss => counts.holds + counts.undecided,
            Expected::Failure => return None,
        };
        Proportion::of(wrong, counts.n())
    }

    /// Outcomes of `measure` in all cases that count of the rows that `which` picks.
    fn total(&self, measure: Measure, which: impl Fn(&Row) -> bool) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for (index, row) in self.rows.iter().enumerate() {
            if which(row) {
                self.counted(index).for_each(|case| counts.add(case.outcome(measure)));
            }
        }
        counts
    }

    /// The rates that are promised: false `fails` of each verdict, `undecided` of each at the default length, failures of the
    /// loss that are said to hold at any length, and those that are not found at the default length. Shorter texts may leave a
    /// failure undecided, and say how much more would decide it.
    pub fn rates(&self) -> Vec<Rate> {
        let null = |row: &Row| row.expected == Expected::Null;
        let mut rates = Vec::new();
        for measure in Measure::ALL {
            let counts = self.total(measure, null);
            let count = counts.broken();
            rates.push(Rate::new("false fails", measure, count, counts.n(), MOST_FALSE_FAILS, |a, b| a <= b));
        }
        for measure in Measure::ALL {
            let counts = self.total(measure, |row| null(row) && row.default_length);
            let name = "undecided at the default length";
            rates.push(Rate::new(name, measure, counts.undecided, counts.n(), MOST_UNDECIDED, |a, b| a < b));
        }
        let failure = |row: &Row| row.expected == Expected::Failure;
        let counts = self.total(Measure::Loss, failure);
        let name = "failures said to hold";
        rates.push(Rate::new(name, Measure::Loss, counts.holds, counts.n(), MOST_MISSED, |a, b| a <= b));
        let counts = self.total(Measure::Loss, |row| failure(row) && row.default_length);
        let missed = counts.holds + counts.undecided;
        let name = "failures not found, default length";
        rates.push(Rate::new(name, Measure::Loss, missed, counts.n(), MOST_MISSED, |a, b| a <= b));
        rates
    }

    /// Cases whose verdict on a measure is wrong, in order.
    pub fn wrong(&self) -> Vec<(&Case, Measure)> {
        let all = self.cases.iter().flat_map(|case| Measure::ALL.map(|measure| (case, measure)));
        all.filter(|(case, measure)| self.rows.get(case.row).is_some_and(|row| case.is_wrong(row, *measure)))
            .collect()
    }

    /// Table, rates, wrong verdicts, and what was set apart.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{} cases on {} texts; a case counts where an independent, longer reading puts its effect on the loss on the expected \
             side of the margin of {} nats\n",
            grouped(self.cases.len() as u64),
            grouped(self.texts.len() as u64),
            self.margin
        );
        if (self.cases.len() as u64) < self.planned {
            text.push_str(&format!("stopped: {} cases were planned\n", grouped(self.planned)));
        }
        text.extend(self.notes.iter().map(|note| format!("{note}\n")));
        for (expected, title) in [
            (Expected::Null, "null (the right answer is not `fails`)"),
            (Expected::Failure, "real failures (the right answer of the loss is `fails`)"),
        ] {
            if self.rows.iter().any(|row| row.expected == expected) {
                text.push_str(&self.table(expected, title));
            }
        }
        text.push_str("\nrates, with 95 % intervals (Wilson)\n");
        for rate in self.rates() {
            let verdict = match rate.met {
                Some(true) => "met",
                Some(false) => "NOT met",
                None => "no case",
            };
            let limit = 100.0 * rate.limit;
            let said = rate.share.map_or("–".to_owned(), |share| {
                format!("{} of {}: {}", rate.count, share.trials, share.percent())
            });
            text.push_str(&format!(
                "  {:<34} {:<8} {said}; limit {limit} %: {verdict}\n",
                rate.name,
                rate.measure.to_string()
            ));
        }
        text.push_str(&self.said_wrong());
        text.push_str(&self.set_apart());
        text
    }

    fn table(&self, expected: Expected, title: &str) -> String {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let mut text = format!(
            "\n{title}: fails / holds / undecided / not finite\n  {:<width$}   n {:>16} {:>16} {:>16} {:>16}  apart  loss wrong\n",
            "", "loss", "logits", "entropy", "drift"
        );
        for (index, row) in self.rows.iter().enumerate().filter(|(_, row)| row.expected == expected) {
            let n = self.counted(index).count();
            let all = self.cases.iter().filter(|case| case.row == index).count();
            let cells = Measure::ALL.map(|measure| {
                let OutcomeCounts { fails, holds, undecided, not_finite } = self.counts(index, measure);
                format!("{fails} / {holds} / {undecided} / {not_finite}")
            });
            let [loss, logits, entropy, drift] = cells;
            let wrong = self.wrong_share(index, Measure::Loss);
            text.push_str(&format!(
                "  {:<width$} {n:>3} {loss:>16} {logits:>16} {entropy:>16} {drift:>16} {:>6}  {}\n",
                row.name,
                all - n,
                wrong.map_or("–".to_owned(), |share| share.percent())
            ));
        }
        text
    }

    fn said_wrong(&self) -> String {
        let wrong = self.wrong();
        if wrong.is_empty() {
            return "\nno verdict was wrong\n".to_owned();
        }
        let mut text = "\nwrong verdicts\n".to_owned();
        for (case, measure) in wrong {
            let Some(judged) = case.judged.iter().find(|judged| judged.measure == measure) else { continue };
            text.push_str(&format!(
                "  {}, {}: {measure} {}\n",
                self.rows[case.row].name, case.text, judged.verdict
            ));
        }
        text
    }

    fn set_apart(&self) -> String {
        let apart: Vec<&Case> = self.cases.iter().filter(|case| !case.counts(&self.rows[case.row])).collect();
        let is_own = |case: &&Case| {
            let own = case.reading.is_some_and(|reading| reading.source == Source::ItsOwn);
            own && case.counts(&self.rows[case.row])
        };
        let own = self.cases.iter().filter(is_own).count();
        let mut text = String::new();
        if own > 0 {
            text.push_str(&format!(
                "\n{own} of the cases that count have no reading but the text itself, since there is no more of it: they cannot show \
                 a false `fails` of the loss\n"
            ));
        }
        if apart.is_empty() {
            return text;
        }
        text.push_str(
            "\nset apart: the reading does not agree with how the case was made, or does not decide\n",
        );
        for case in apart {
            let reading = case.reading.map_or("there is none".to_owned(), |reading| {
                let [low, high] = reading.interval;
                format!(
                    "{:+.2} nats ({low:+.2} to {high:+.2}, n = {}, {})",
                    reading.effect,
                    grouped(reading.tokens),
                    reading.source
                )
            });
            text.push_str(&format!(
                "  {}, {}: {} the margin, {reading}; the verdict on the loss is {}\n",
                self.rows[case.row].name,
                case.text,
                case.truth,
                case.outcome(Measure::Loss)
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::calibrate::case::{Judged, Reading};

    fn case(row: usize, truth: Truth, outcomes: [Outcome; 4]) -> Case {
        let judged = Measure::ALL.into_iter().zip(outcomes).map(|(measure, outcome)| Judged {
            measure,
            outcome,
            effect: None,
            interval: None,
            verdict: outcome.to_string(),
        });
        let reading = Reading { source: Source::SameKind, effect: 0.1, interval: [0.0, 0.2], tokens: 100 };
        let judged = judged.collect();
        Case { row, text: "t".into(), tokens: 100, truth, reading: Some(reading), judged }
    }

    fn calibration(cases: Vec<Case>) -> Calibration {
        let row = |expected| Row {
            name: format!("{expected} row"),
            model: "m".into(),
            trained_length: 10,
            policy: "vanilla".into(),
            tokens: 100,
            expected,
            default_length: true,
        };
        Calibration {
            models: vec!["m".into()],
            texts: vec!["t".into()],
            margin: 0.2,
            planned: cases.len() as u64,
            notes: Vec::new(),
            rows: vec![row(Expected::Null), row(Expected::Failure)],
            cases,
        }
    }

    #[test]
    fn false_and_missed_verdicts_are_counted_and_others_set_apart() {
        use Outcome::{Fails, Holds, NotFinite, Undecided};
        let found = calibration(vec![
            case(0, Truth::Below, [Holds, Fails, Undecided, NotFinite]),
            case(0, Truth::Below, [Fails, Holds, Holds, Holds]),
            case(0, Truth::Near, [Fails; 4]),
            case(0, Truth::Above, [Fails; 4]),
            case(1, Truth::Above, [Undecided, Holds, Holds, Holds]),
            case(1, Truth::Above, [NotFinite, Holds, Holds, Holds]),
            case(1, Truth::Below, [Holds; 4]),
        ]);
        let rates = found.rates();
        let of = |name: &str, measure: Measure| {
            let rate = rates.iter().find(|rate| rate.name.starts_with(name) && rate.measure == measure);
            let rate = rate.expect("a rate");
            (rate.count, rate.share.map(|share| share.trials), rate.met)
        };
        for measure in [Measure::Loss, Measure::Logits, Measure::Drift] {
            assert_eq!(of("false", measure), (1, Some(2), Some(false)), "{measure}");
        }
        assert_eq!(of("false", Measure::Entropy), (0, Some(2), Some(true)));
        assert_eq!(of("undecided", Measure::Entropy), (1, Some(2), Some(false)));
        assert_eq!(of("undecided", Measure::Loss), (0, Some(2), Some(true)));
        assert_eq!(of("failures said to hold", Measure::Loss), (0, Some(2), Some(true)));
        assert_eq!(of("failures not found", Measure::Loss), (1, Some(2), Some(false)));
        let wrong: Vec<_> = found.wrong().into_iter().map(|(case, measure)| (case.row, measure)).collect();
        let expected = [(0, Measure::Logits), (0, Measure::Drift), (0, Measure::Loss), (1, Measure::Loss)];
        assert_eq!(wrong, expected);
        let said = found.summary();
        assert!(said.contains("NOT met") && said.matches("near the margin").count() == 1, "{said}");
        assert_eq!(said.matches("the verdict on the loss is").count(), 3, "{said}");
    }

    #[test]
    fn without_a_case_nothing_is_met() {
        let rates = calibration(Vec::new()).rates();
        assert!(rates.iter().all(|rate| rate.met.is_none() && rate.share.is_none()));
    }
}
