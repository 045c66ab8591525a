//! Where data goes, and how progress is shown.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

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
            out.write_all(words.trim_end().as_bytes())?;
        }
        out.write_all(b"\n")?;
        out.flush()?;
        Ok(())
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

/// A progress bar over `total` units of `unit` on standard error, if that is a terminal.
pub fn progress(what: &str, total: u64, unit: &str) -> ProgressBar {
    let template =
        format!("{{prefix}} {{bar:32}} {{human_pos}}/{{human_len}} {unit} · {{per_sec}} · {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style).with_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
