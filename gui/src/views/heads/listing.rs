//! Heads as rows of a table: every measure of the chosen side, sorted, filtered, and as CSV.

use std::cmp::Ordering;

use lm_infinite::diagnose::Head;

use super::filter::Filter;
use super::model::{Measure, Side};
use crate::views::rows::Rows;

/// Measures of a row.
const COLUMNS: usize = Measure::ALL.len();

/// What sorts the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Index in [`Measure::ALL`]; `None` by layer and head.
    pub column: Option<usize>,
    /// The largest first.
    pub descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self { column: Some(0), descending: true }
    }
}

impl Sort {
    /// After a click on the head of a column: by that column, or the other way round.
    #[must_use]
    pub fn clicked(self, column: Option<usize>) -> Self {
        let descending = if self.column == column { !self.descending } else { column.is_some() };
        Self { column, descending }
    }
}

/// What the fields say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// What sorts.
    pub sort: Sort,
    /// What is typed into the filter.
    pub filter: String,
}

/// One head.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Layer and number.
    pub head: Head,
    /// One for each of [`Measure::ALL`].
    pub values: [Option<f64>; COLUMNS],
}

/// The rows in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Those that are listed.
    pub rows: Vec<Row>,
    /// How many there are in all.
    pub of: usize,
    /// Why the filter lists all of them.
    pub refused: Option<String>,
}

impl Listing {
    /// Of one side of a diagnosis.
    pub fn new(rows: Rows<'_>, side: Side, controls: &Controls, pins: &[Head]) -> Self {
        let (layers, heads) = (rows.diagnosis.config.layers, rows.diagnosis.config.heads);
        let row = |at: usize| Row {
            head: (at / heads, at % heads),
            values: Measure::ALL.map(|measure| measure.of_side(rows, side, at)),
        };
        Self::of_rows((0..layers * heads).map(row).collect(), controls, pins)
    }

    fn of_rows(mut rows: Vec<Row>, controls: &Controls, pins: &[Head]) -> Self {
        let (of, Controls { sort, filter }) = (rows.len(), controls);
        let (filter, refused) = match Filter::parse(filter) {
            Ok(filter) => (filter, None),
            Err(reason) => (Filter::default(), Some(reason)),
        };
        let value = |row: &Row| sort.column.and_then(|column| row.values.get(column).copied().flatten());
        rows.retain(|row| filter.lists(row.head, value(row), pins));
        // Stable: equal heads keep the order of the model. What has no value stands last, whichever way.
        rows.sort_by(|a, b| match (sort.column, value(a), value(b)) {
            (None, ..) if sort.descending => b.head.cmp(&a.head),
            (None, ..) => Ordering::Equal,
            (_, Some(a), Some(b)) if sort.descending => b.total_cmp(&a),
            (_, Some(a), Some(b)) => a.total_cmp(&b),
            (_, Some(_), None) => Ordering::Less,
            (_, None, Some(_)) => Ordering::Greater,
            (_, None, None) => Ordering::Equal,
        });
        Self { rows, of, refused }
    }

    /// As CSV, in the order of the rows, with all digits; a value that is missing is empty.
    pub fn csv(&self) -> String {
        let names = Measure::ALL.map(Measure::name).join(",");
        let mut text = format!("layer,head,{names}\n");
        for Row { head: (layer, head), values } in &self.rows {
            let values = values.map(|value| value.map_or_else(String::new, |value| value.to_string()));
            text.push_str(&format!("{layer},{head},{}\n", values.join(",")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |(at, value): (usize, Option<f64>)| {
            let mut values = [Some(at as f64); COLUMNS];
            values[0] = value;
            Row { head: (at / 2, at % 2), values }
        };
        [Some(1.0), None, Some(-3.0), Some(2.5)].into_iter().enumerate().map(row).collect()
    }

    fn heads(sort: Sort, filter: &str) -> Vec<Head> {
        let controls = Controls { sort, filter: filter.to_owned() };
        Listing::of_rows(rows(), &controls, &[(1, 0)]).rows.iter().map(|row| row.head).collect()
    }

    #[test]
    fn rows_are_sorted_by_a_column_either_way_and_what_is_missing_stands_last() {
        let down = Sort::default();
        assert_eq!(heads(down, ""), [(1, 1), (0, 0), (1, 0), (0, 1)]);
        assert_eq!(heads(down.clicked(Some(0)), ""), [(1, 0), (0, 0), (1, 1), (0, 1)]);
        let by_name = down.clicked(None);
        assert_eq!(heads(by_name, ""), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(heads(by_name.clicked(None), ""), [(1, 1), (1, 0), (0, 1), (0, 0)]);
        assert_eq!(by_name.clicked(Some(2)), Sort { column: Some(2), descending: true });
    }

    #[test]
    fn a_filter_lists_some_and_one_that_means_nothing_lists_all_and_says_so() {
        assert_eq!(heads(Sort::default(), ">0"), [(1, 1), (0, 0)]);
        assert_eq!(heads(Sort::default(), "l1 <0"), [(1, 0)]);
        assert_eq!(heads(Sort::default(), "pinned"), [(1, 0)]);
        let controls = Controls { filter: "what".into(), ..Controls::default() };
        let listing = Listing::of_rows(rows(), &controls, &[]);
        assert_eq!((listing.rows.len(), listing.of), (4, 4));
        assert!(listing.refused.is_some_and(|words| words.contains("`what`")));
        assert!(Listing::of_rows(Vec::new(), &Controls::default(), &[]).rows.is_empty());
    }

    #[test]
    fn a_table_for_other_programs_has_all_digits() {
        let mut few = rows();
        few.truncate(2);
        few[0].values[0] = Some(1.0 / 3.0);
        let csv = Listing { rows: few, of: 2, refused: None }.csv();
        let lines: Vec<_> = csv.lines().collect();
        assert!(lines[0].starts_with("layer,head,logit excess at unseen distances,"));
        assert_eq!(lines[1], "0,0,0.3333333333333333,0,0,0,0,0,0,0");
        assert_eq!(lines[2], "0,1,,1,1,1,1,1,1,1");
        assert!(lines.iter().all(|line| line.split(',').count() == COLUMNS + 2));
    }
}
