//! Where data goes, and how progress is shown.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use lm_infinite_runtime::hub::{Cache, Progress};
use lm_infinite_runtime::note::Note;

use crate::results::{ResultFolder, RunInfo, Storable};
use crate::words::grouped;

/// Standard output, as words or as one JSON object.
pub struct Output {
    json: bool,
}

impl Output {
    /// Output in the form asked for.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Writes `words`, or `data` as JSON where that is asked for.
    pub fn write(&self, words: &str, data: &serde_json::Value) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, data).map_err(std::io::Error::from)?;
        } else {
            let one_screen = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
            let said = if one_screen {
                SAID.lock().map(|said| said.clone()).unwrap_or_default()
            } else {
                Vec::new()
            };
            out.write_all(without_said(words.trim_end(), &said).as_bytes())?;
        }
        out.write_all(b"\n")?;
        out.flush()?;
        Ok(())
    }

    /// Says why nothing, or nothing more, comes: words on standard error, or an object with the field `error` on standard
    /// output where JSON is asked for.
    pub fn fail(&self, error: &str) {
        if self.json {
            println!("{}", serde_json::json!({ "error": error }));
        } else {
            eprintln!("error: {error}");
        }
    }

    /// Writes the result folder `folder`, and says what was measured and where it is.
    pub fn finish<T: Storable>(&self, outcome: &T, info: &RunInfo, folder: &Path) -> anyhow::Result<()> {
        self.finish_after(outcome, info, folder, || Ok(()))
    }

    /// The same; `end` takes away what the unfinished run needed, as soon as its result is in place.
    pub fn finish_after<T: Storable>(
        &self,
        outcome: &T,
        info: &RunInfo,
        folder: &Path,
        end: impl FnOnce() -> crate::Result<()>,
    ) -> anyhow::Result<()> {
        ResultFolder::write(folder, outcome, info)?;
        end()?;
        self.write(
            &format!("{}\nresults in {}", outcome.summary(), folder.display()),
            &outcome.to_json(folder),
        )
    }

    /// Writes a piece of a text at once, unless JSON is asked for.
    pub fn stream(&self, piece: &str) -> anyhow::Result<()> {
        if !self.json {
            let mut out = std::io::stdout().lock();
            out.write_all(piece.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

/// A rate in three significant digits, thousands set apart: `0.0123`, `4.56`, `78.9`, `24,500`.
pub fn significant(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return "0".to_owned();
    }
    let digits = 2 - value.log10().floor() as i32;
    if digits > 0 {
        return format!("{value:.*}", digits as usize);
    }
    let unit = 10f64.powi(-digits);
    grouped(((value / unit).round() * unit) as u64)
}

/// Notes that have been said: on a screen that shows both streams, the words of a result need not repeat them.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// `words` without the lines that are in `said`.
fn without_said<'a>(words: &'a str, said: &[String]) -> Cow<'a, str> {
    if said.is_empty() {
        return Cow::Borrowed(words);
    }
    let new = words.split_inclusive('\n').filter(|line| !said.iter().any(|said| said == line.trim()));
    Cow::Owned(new.collect())
}

/// Says `notes` on standard error.
pub fn say(notes: &[Note]) {
    if let Ok(mut said) = SAID.lock() {
        said.extend(notes.iter().map(ToString::to_string));
    }
    for note in notes {
        eprintln!("{}: {note}", note.label());
    }
}

/// A progress bar over `total` units of `unit` on standard error, if that is a terminal.
pub fn progress(what: &str, total: u64, unit: &str) -> ProgressBar {
    // `wide_bar` takes what the rest leaves of the line, however wide the terminal is.
    let template =
        format!("{{prefix}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit} · {{rate}} · {{eta}} left");
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The line is redrawn in half a second; there is nobody to tell.
        let _ = write!(out, "{}/s", significant(state.per_sec()));
    };
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style.with_key("rate", rate);
    let bar = ProgressBar::new(total).with_style(style).with_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// The cache of models, which says on standard error what it fetches and, on a terminal, how far it is.
pub fn cache() -> crate::Result<Cache> {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{prefix}{wide_bar} {bytes}/{total_bytes} · {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    Ok(Cache::open()?.with_progress(move |progress| match progress {
        Progress::File { name, number, of, bytes } => {
            bar.reset();
            bar.set_length(bytes);
            bar.set_prefix(format!("{name} "));
            bar.suspend(|| eprintln!("{number}/{of} {name} ({} MB)", grouped(bytes.div_ceil(1_000_000))));
        }
        Progress::Said(words) => bar.suspend(|| eprintln!("{words}")),
        Progress::Bytes { done, total } => {
            bar.set_length(total);
            bar.set_position(done);
            if done >= total {
                bar.finish_and_clear();
            }
        }
    }))
}

/// A sign of life while something of unknown length is done, on standard error, if that is a terminal.
pub fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_not_repeated_on_the_same_screen() {
        let said = ["text: it ends".to_owned()];
        assert_eq!(without_said("text: it ends\nvanilla\n  text: it ends\n4.5", &said), "vanilla\n4.5");
        assert_eq!(without_said("text: it ends here\n", &said), "text: it ends here\n");
        assert_eq!(without_said("text: it ends", &[]), "text: it ends");
    }

    #[test]
    fn rates_have_three_digits() {
        let cases = [
            (0.012_345, "0.0123"),
            (4.5612, "4.56"),
            (78.94, "78.9"),
            (999.6, "1,000"),
            (24_512.3, "24,500"),
        ];
        for (value, expected) in cases {
            assert_eq!(significant(value), expected);
        }
        assert_eq!([0.0, -1.0, f64::NAN, f64::INFINITY].map(significant), ["0"; 4]);
    }
}
