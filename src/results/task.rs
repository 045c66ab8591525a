//! Result folders of tasks: tables and charts as data, so that figures can be drawn again without the model.
//!
//! | file | what |
//! |---|---|
//! | `run.json` | how to repeat the run: [`RunInfo`] |
//! | `result.json` | the whole [`TaskResult`] |
//! | `summary.txt` | what the command printed |
//! | `*.csv`, `*.svg`, `*.png` | its tables and charts, by name |

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunInfo;
use super::storable::Storable;
use super::store::{from_json, save, to_json};
use crate::error::Result;
use crate::figures::{self, Chart};

/// What a task measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Name of the command.
    pub task: String,
    /// In words.
    pub summary: String,
    /// As the command's `--json` prints it.
    pub data: Value,
    /// Tables by file name, without extension.
    pub tables: Vec<Table>,
    /// Charts by file name, without extension.
    pub charts: Vec<(String, Chart)>,
}

/// A table: one CSV file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// File name without extension.
    pub name: String,
    /// Names of the columns, with units.
    pub columns: Vec<String>,
    /// Rows of columns; empty where there is no value.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(name: &str, columns: &[&str]) -> Self {
        Self { name: name.into(), columns: columns.iter().map(|&c| c.into()).collect(), rows: Vec::new() }
    }

    /// The table as CSV; cells with commas, quotes or line breaks are quoted.
    pub fn csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            // Writing to memory cannot fail, and rows may have any number of cells.
            let _ = writer.write_record(row);
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

impl Storable for TaskResult {
    type Whole = Self;

    const KIND: &'static str = "task";
    const NAMED: &'static str = "a result of a task";
    const FILE: &'static str = "result.json";
    const FILES: &'static [&'static str] = &["result.json", "summary.txt"];

    /// The name of the command: a `sweep` never replaces a `passkey`.
    fn kind(&self) -> &str {
        &self.task
    }

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, false)?;
        save(&folder.join("summary.txt"), &self.summary)?;
        for table in &self.tables {
            save(&folder.join(file_name(&table.name, "csv")), &table.csv())?;
        }
        Ok(())
    }

    fn draw(&self, _: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut drawn = Vec::new();
        for (name, chart) in &self.charts {
            drawn.extend(figures::draw_chart(chart, &folder.join(stem(name)))?);
        }
        Ok(drawn)
    }

    fn read(folder: &Path) -> Result<Self> {
        from_json(&folder.join(Self::FILE))
    }

    fn summary(&self) -> String {
        self.summary.clone()
    }

    fn to_json(&self, out: &Path) -> Value {
        let mut data = self.data.clone();
        data["out"] = out.display().to_string().into();
        data
    }

    fn more_files(&self) -> Vec<String> {
        let tables = self.tables.iter().map(|table| file_name(&table.name, "csv"));
        let figures =
            self.charts.iter().flat_map(|(name, _)| ["svg", "png"].map(|format| file_name(name, format)));
        tables.chain(figures).collect()
    }
}

/// A stored name is no way out of the folder.
fn stem(name: &str) -> String {
    Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn file_name(name: &str, extension: &str) -> String {
    Path::new(&stem(name)).with_extension(extension).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{HeatMap, Panel, PointSeries, Points};
    use crate::results::{ResultFolder, Source, redraw};

    fn example() -> (TaskResult, RunInfo) {
        let mut table = Table::new("passkey", &["policy", "accuracy"]);
        table.rows.push(vec!["a:start=1,window=2".into(), "0.5".into()]);
        table.rows.push(vec!["say \"b\"".into(), String::new()]);
        let text = |text: &str| text.to_owned();
        let map = HeatMap {
            title: text("t"),
            note: text("n"),
            x_label: text("x"),
            y_label: text("y"),
            x: vec![text("256"), text("1k")],
            y: vec![text("0 %")],
            panels: vec![Panel { name: text("<a>&"), cells: vec![vec![Some(0.5), None]] }],
        };
        let points = Points {
            title: text("t"),
            note: text("n"),
            x_label: text("x"),
            y_label: text("y"),
            x: vec![text("256"), text("1k")],
            at: vec![256.0, 1024.0],
            logarithmic: true,
            from_zero: false,
            series: vec![PointSeries {
                name: text("a"),
                values: vec![Some(3.0), Some(0.0)],
                intervals: vec![],
            }],
        };
        let charts = vec![(text("map"), Chart::HeatMap(map)), (text("points"), Chart::Points(points))];
        let result = TaskResult {
            task: text("passkey"),
            summary: text("words\n"),
            data: serde_json::json!({"runs": []}),
            tables: vec![table],
            charts,
        };
        let source = |name: &str| Source { name: name.into(), sha256: None };
        (result, RunInfo::new(vec![text("lm-infinite")], source("m"), source("t"), 1, [], 0))
    }

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let csv = example().0.tables[0].csv();
        assert_eq!(csv, "policy,accuracy\n\"a:start=1,window=2\",0.5\n\"say \"\"b\"\"\",\n");
    }

    #[test]
    fn a_task_is_written_whole_and_drawn_again() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = scratch.path().join("run");
        let (result, info) = example();
        ResultFolder::write(&folder, &result, &info).expect("writes");
        ResultFolder::write(&folder, &result, &info).expect("in place of an older one");
        let opened = ResultFolder::open(&folder).expect("opens");
        let names = ["map.png", "map.svg", "passkey.csv", "points.png", "points.svg"];
        assert_eq!((opened.kind(), opened.named().as_str()), ("passkey", "a result of `passkey`"));
        assert_eq!(opened.files(), [&names[..], &["result.json", "run.json", "summary.txt"]].concat());
        let svg = folder.join("map.svg");
        let first = std::fs::read_to_string(&svg).expect("is there");
        assert!(!first.contains("<a>&"));
        std::fs::remove_file(&svg).expect("is there");
        let drawn = redraw(&folder).expect("draws");
        assert!(drawn.len() == 4 && drawn.contains(&svg) && drawn.iter().all(|path| path.is_file()));
        assert_eq!(std::fs::read_to_string(&svg).expect("is there again"), first);
        std::fs::write(folder.join("result.json"), "{").expect("writes");
        assert!(redraw(&folder).expect_err("damaged").to_string().contains("result.json"));
    }
}
