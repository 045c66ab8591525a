//! What the head grid shows: one value per head, their order, and how a value becomes a share of the colour scale.

use std::cmp::Ordering;

use lm_infinite::diagnose::{HeadReport, RunMeasurement};

use crate::theme;
use crate::views::pair::{Pair, Row};
use crate::views::rows::Rows;

/// What colours a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Largest logit on any key.
    MaxLogit,
    /// What unseen distances add to the logits of the same queries and keys.
    LogitExcess,
    /// How far the largest logit beyond the training length lies above that within it.
    LogitRise,
    /// Largest mean entropy, in nats.
    Entropy,
    /// Mean probability on the start tokens, beyond the training length where there is a beyond.
    StartMass,
    /// Mean distance that attention reaches, in tokens.
    MeanDistance,
    /// First position at which logits or entropy leave what training showed.
    FirstBreak,
    /// Mean probability on the head's learned sink, beyond the training length where there is a beyond.
    SinkMass,
}

impl Measure {
    /// All, in the order of the menu.
    pub const ALL: [Self; 8] = [
        Self::LogitExcess,
        Self::LogitRise,
        Self::MaxLogit,
        Self::Entropy,
        Self::StartMass,
        Self::MeanDistance,
        Self::FirstBreak,
        Self::SinkMass,
    ];

    /// What it is called, with its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxLogit => "max logit",
            Self::LogitExcess => "logit excess at unseen distances",
            Self::LogitRise => "max logit increase beyond training",
            Self::Entropy => "max entropy (nats)",
            Self::StartMass => "mass on start tokens",
            Self::MeanDistance => "mean distance (tokens)",
            Self::FirstBreak => "first break (tokens)",
            Self::SinkMass => "mass on the learned sink",
        }
    }

    /// Of one head; `None` where it has none, and where it is not finite: no maximum or mean passes over that. It counts as
    /// a break.
    pub fn of(self, run: &RunMeasurement, head: &HeadReport) -> Option<f64> {
        if head.non_finite_queries > 0 && self != Self::FirstBreak {
            return None;
        }
        let entropy = head.entropy.map(|growth| growth.outside.unwrap_or(growth.inside).max(growth.inside));
        match self {
            Self::MaxLogit => {
                let arrays = [&run.arrays.max_logit, &run.arrays.max_logit_start];
                let bins = arrays[0].dim().2;
                let values = arrays.into_iter().flat_map(|array| {
                    (0..bins).filter_map(|bin| array.get([head.layer, head.head, bin]).copied())
                });
                let most = values.filter(|logit| logit.is_finite()).fold(f32::NEG_INFINITY, f32::max);
                Some(f64::from(most)).filter(|logit| logit.is_finite())
            }
            Self::LogitExcess => head.largest_logit_excess(),
            Self::LogitRise => head.logit_rise().map(f64::from),
            Self::Entropy => entropy,
            Self::StartMass => head.start_mass_beyond.or(head.start_mass_inside),
            Self::SinkMass => head.sink_mass_beyond.or(head.sink_mass_inside),
            Self::MeanDistance => head.mean_distance_beyond.or(head.mean_distance_inside),
            Self::FirstBreak => {
                let breaks =
                    [head.logits_break, head.start_logits_break, head.entropy_break, head.first_non_finite];
                breaks.into_iter().flatten().min().map(|at| at as f64)
            }
        }
    }

    /// Of the head at a place in the lists of a side's runs, where it is finite.
    pub fn of_side(self, rows: Rows<'_>, side: Side, at: usize) -> Option<f64> {
        let of = |row: Row| {
            let run = rows.run(row)?;
            self.of(run, run.heads.get(at)?).filter(|value| value.is_finite())
        };
        match side {
            Side::Run(side) => of(Row::Here(side)),
            Side::Difference(pair) if pair.rows().into_iter().any(|row| rows.other_heads(row).is_some()) => {
                None
            }
            Side::Difference(pair) => Some(of(pair.first)? - of(pair.second)?),
        }
    }

    /// What it is, in a sentence.
    pub fn help(self) -> &'static str {
        match self {
            Self::MaxLogit => "The largest logit on any key, within and beyond the training length",
            Self::LogitExcess => {
                "What unseen distances add to the logits of the same queries and keys, at most"
            }
            Self::LogitRise => {
                "How far the largest logit beyond the training length lies above the largest within it"
            }
            Self::Entropy => "The largest mean entropy of a row of attention",
            Self::StartMass => {
                "Mean probability on the first tokens of the text, beyond the training length where there is a beyond"
            }
            Self::MeanDistance => "How far attention reaches on average",
            Self::FirstBreak => "The first position at which logits or entropy leave what training showed",
            Self::SinkMass => {
                "Mean probability on the head's learned sink, beyond the training length where there is a beyond"
            }
        }
    }

    /// A value in words.
    pub fn words(self, value: Option<f64>) -> String {
        let words = match value {
            None if self == Self::FirstBreak => "none".to_owned(),
            None => "–".to_owned(),
            Some(value) if self.in_tokens() && value.abs() >= 10.0 => format!("{value:.0}"),
            Some(value) => format!("{value:.2}"),
        };
        words.replace('-', "\u{2212}")
    }

    fn in_tokens(self) -> bool {
        matches!(self, Self::MeanDistance | Self::FirstBreak)
    }
}

/// Whose heads are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The policy of this number, from 0.
    Run(usize),
    /// The first of the pair less the second.
    Difference(Pair),
}

impl Side {
    /// The first policy.
    pub const A: Self = Self::Run(0);
    /// The second.
    pub const B: Self = Self::Run(1);

    /// All of so many runs, in the order of the menu.
    pub fn all(rows: Rows<'_>, pair: Pair) -> impl Iterator<Item = Self> {
        let both = pair.rows().into_iter().all(|row| rows.run(row).is_some());
        (0..rows.diagnosis.runs.len()).map(Self::Run).chain(both.then_some(Self::Difference(pair)))
    }

    /// What it is called.
    pub fn name(self) -> String {
        match self {
            Self::Run(side) => theme::name(side).to_owned(),
            Self::Difference(pair) => pair.name(),
        }
    }

    /// The pair that it is the difference of.
    pub fn pair(self) -> Option<Pair> {
        match self {
            Self::Run(_) => None,
            Self::Difference(pair) => Some(pair),
        }
    }

    /// The runs that it is of.
    pub fn runs(self) -> impl Iterator<Item = Row> {
        let (first, second) = match self {
            Self::Run(side) => (Row::Here(side), None),
            Self::Difference(pair) => (pair.first, Some(pair.second)),
        };
        std::iter::once(first).chain(second)
    }
}

/// Where a head stands in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Layers downwards, heads across.
    Layers,
    /// The strongest first, whatever their layer.
    Strongest,
}

/// How heads are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// A tile for each, coloured.
    #[default]
    Grid,
    /// A row for each, with every measure.
    Table,
}

/// What is chosen in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What colours a head.
    pub measure: Measure,
    /// Whose.
    pub side: Side,
    /// Where heads stand.
    pub order: Order,
    /// As a grid or as rows.
    pub view: View,
    /// The head that the other views show; `None` for all heads.
    pub head: Option<(usize, usize)>,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            measure: Measure::LogitExcess,
            side: Side::A,
            order: Order::Layers,
            view: View::Grid,
            head: None,
        }
    }
}

/// What the values of a measure mean: which heads come first, and how they are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The largest first; bright is much.
    Amount,
    /// The smallest first, and bright.
    Early,
    /// The largest first; 0 has no hue.
    Change,
    /// The farthest from 0 first; 0 has no hue.
    Difference,
}

/// One value per head, with their range and order.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Layers of the model.
    pub layers: usize,
    /// Heads per layer.
    pub heads: usize,
    /// How values become colours; `None` if there are none.
    pub scale: Option<Scale>,
    /// By layer, then head.
    values: Vec<Option<f64>>,
    /// Heads (as indices of `values`) from place to place.
    order: Vec<usize>,
    /// Places of heads: the inverse.
    places: Vec<usize>,
}

impl Table {
    /// Of a diagnosis.
    pub fn new(rows: Rows<'_>, measure: Measure, side: Side, order: Order) -> Self {
        let (layers, heads) = (rows.diagnosis.config.layers, rows.diagnosis.config.heads);
        let values = (0..layers * heads).map(|at| measure.of_side(rows, side, at)).collect();
        let meaning = match measure {
            _ if side.pair().is_some() => Meaning::Difference,
            // A head that breaks early is broken more than one that breaks late.
            Measure::FirstBreak => Meaning::Early,
            Measure::LogitExcess | Measure::LogitRise => Meaning::Change,
            _ => Meaning::Amount,
        };
        Self::of_values(heads, values, meaning, order)
    }

    fn of_values(heads: usize, values: Vec<Option<f64>>, meaning: Meaning, order: Order) -> Self {
        let by_size = meaning == Meaning::Difference;
        let strength = |at: usize| values[at].map(|value| if by_size { value.abs() } else { value });
        let mut all: Vec<usize> = (0..values.len()).collect();
        if order == Order::Strongest {
            // Stable: equal heads keep the order of the model.
            all.sort_by(|&a, &b| match (strength(a), strength(b)) {
                (Some(a), Some(b)) if meaning == Meaning::Early => a.total_cmp(&b),
                (Some(a), Some(b)) => b.total_cmp(&a),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            });
        }
        let mut places = vec![0; all.len()];
        for (place, &at) in all.iter().enumerate() {
            places[at] = place;
        }
        let layers = values.len().checked_div(heads).unwrap_or(0);
        let scale = Scale::new(values.iter().flatten().copied(), meaning);
        Self { layers, heads, scale, values, order: all, places }
    }

    /// Heads in all.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// (layer, head) at a place.
    pub fn head_at(&self, place: usize) -> Option<(usize, usize)> {
        self.order.get(place).map(|&at| (at / self.heads, at % self.heads))
    }

    /// The place of a head.
    pub fn place_of(&self, head: (usize, usize)) -> Option<usize> {
        self.index(head).map(|at| self.places[at])
    }

    /// The value of a head.
    pub fn value(&self, head: (usize, usize)) -> Option<f64> {
        self.index(head).and_then(|at| self.values[at])
    }

    fn index(&self, (layer, head): (usize, usize)) -> Option<usize> {
        (layer < self.layers && head < self.heads).then_some(layer * self.heads + head)
    }
}

/// From values to shares of a colour scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Smallest value; of a diverging scale, less the largest magnitude.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// 0 is in the middle, and both signs have a hue.
    pub diverging: bool,
    /// Small values are the bright ones.
    pub reversed: bool,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, meaning: Meaning) -> Option<Self> {
        let diverging = matches!(meaning, Meaning::Change | Meaning::Difference);
        let reversed = meaning == Meaning::Early;
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let most = low.abs().max(high.abs());
        let (low, high) = if diverging { (-most, most) } else { (low, high) };
        (low <= high && most.is_finite()).then_some(Self { low, high, diverging, reversed })
    }

    /// Between 0 and 1; the middle of a range without width.
    pub fn share(&self, value: f64) -> f64 {
        if self.low == self.high {
            return 0.5;
        }
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        if self.reversed { 1.0 - share } else { share }
    }

    /// The value at a share.
    pub fn value(&self, share: f64) -> f64 {
        let share = if self.reversed { 1.0 - share } else { share };
        self.low + share * (self.high - self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(values: &[f64], meaning: Meaning, order: Order) -> Table {
        let values = values.iter().map(|&value| Some(value).filter(|value| value.is_finite())).collect();
        Table::of_values(2, values, meaning, order)
    }

    fn sorted(values: &[f64], meaning: Meaning) -> Vec<(usize, usize)> {
        let table = table(values, meaning, Order::Strongest);
        let places: Vec<_> = (0..table.len()).filter_map(|place| table.head_at(place)).collect();
        assert!(places.iter().enumerate().all(|(place, &head)| table.place_of(head) == Some(place)));
        places
    }

    #[test]
    fn the_strongest_head_comes_first_and_one_without_a_value_last() {
        let values = [1.0, f64::NAN, -9.0, 4.0];
        assert_eq!(sorted(&values, Meaning::Amount), [(1, 1), (0, 0), (1, 0), (0, 1)]);
        assert_eq!(sorted(&values, Meaning::Difference), [(1, 0), (1, 1), (0, 0), (0, 1)], "by magnitude");
        assert_eq!(sorted(&values, Meaning::Early), [(1, 0), (0, 0), (1, 1), (0, 1)], "the earliest break");
    }

    #[test]
    fn by_layer_every_head_stands_at_its_index() {
        let table = table(&[3.0, 2.0, 1.0, 0.0], Meaning::Amount, Order::Layers);
        assert_eq!((table.head_at(2), table.place_of((1, 1))), (Some((1, 0)), Some(3)));
        assert_eq!((table.head_at(4), table.place_of((0, 2)), table.place_of((2, 0))), (None, None, None));
        assert_eq!((table.layers, table.value((0, 1)), table.value((0, 2))), (2, Some(2.0), None));
    }

    #[test]
    fn a_difference_has_zero_in_the_middle() {
        let scale = table(&[-1.0, 3.0], Meaning::Difference, Order::Layers).scale.expect("values");
        assert_eq!((scale.low, scale.high, scale.share(0.0), scale.share(3.0)), (-3.0, 3.0, 0.5, 1.0));
        let early = table(&[100.0, 300.0], Meaning::Early, Order::Layers).scale.expect("values");
        assert_eq!((early.share(100.0), early.share(300.0), early.value(1.0)), (1.0, 0.0, 100.0));
        let one = table(&[2.0, 2.0], Meaning::Amount, Order::Layers).scale.expect("values");
        assert_eq!(one.share(2.0), 0.5);
        assert_eq!(table(&[f64::NAN, f64::NAN], Meaning::Amount, Order::Layers).scale, None);
    }

    #[test]
    fn a_model_without_heads_is_an_empty_table() {
        let table = Table::of_values(0, Vec::new(), Meaning::Amount, Order::Strongest);
        assert!(table.is_empty() && table.head_at(0).is_none() && table.place_of((0, 0)).is_none());
    }

    #[test]
    fn values_are_told_with_their_precision() {
        assert_eq!(Measure::MeanDistance.words(Some(1234.4)), "1234");
        assert_eq!(Measure::LogitRise.words(Some(-1.5)), "\u{2212}1.50");
        assert_eq!(Measure::FirstBreak.words(None), "none");
        assert_eq!(Measure::Entropy.words(None), "–");
    }
}
