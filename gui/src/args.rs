//! The command line of the window.

use std::path::PathBuf;

use clap::Parser;

use crate::settings::{DEFAULT_POLICIES, Ignored, MOST_POLICIES, Settings};
use crate::tab::Tab;
use crate::workbench::Layout;

/// Watch attention break past the training length, and the fix hold, head by head
#[derive(Clone, Debug, Parser)]
#[command(name = "lm-infinite-gui", version)]
pub struct Args {
    /// A result folder of `lm-infinite diagnose`, shown without its model
    #[arg(value_name = "RUN_FOLDER")]
    pub folder: Option<PathBuf>,
    /// An embedded or pulled name, a .gguf file, a Hugging Face folder
    #[arg(long, default_value = lm_infinite::hub::DEFAULT_MODEL, value_name = "MODEL")]
    pub model: String,
    /// Passes a field of the model's file over that nothing is known to read, and says so; such a field is refused otherwise. May be given
    /// several times
    #[arg(long = "ignore-field", value_name = "NAME")]
    pub ignored_fields: Vec<String>,
    /// A text file or folder; an embedded text by default
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FILE")]
    pub text: String,
    /// A policy, A, B and so on; may be given up to 26 times [default: vanilla, lm-infinite]
    #[arg(long = "policy", value_name = "POLICY")]
    pub policies: Vec<String>,
    /// Tokens to read [default: 16 training lengths of the embedded model]
    #[arg(long, default_value = "4k", hide_default_value = true, value_name = "LENGTH", value_parser = lm_infinite::policy::parse_length)]
    pub tokens: u64,
    /// Where the text has fewer tokens, go on with its documents, drawn with replacement; without it, read to its end
    #[arg(long)]
    pub repeat: bool,
    /// Begin at once, also with another model than the embedded one
    #[arg(long)]
    pub run: bool,
    /// Write a picture of the window when the run is finished, and leave
    #[arg(long, value_name = "FILE.png")]
    pub screenshot: Option<PathBuf>,
    /// The tile to show first
    #[arg(long, value_name = "NAME", value_parser = parse_tab)]
    pub tab: Option<Tab>,
    /// How the tiles are arranged: learn, heads, text [default: as they were left, or where --tab has most room]
    #[arg(long, value_name = "NAME", value_parser = parse_layout)]
    pub layout: Option<Layout>,
    /// Dark or light; that of the system by default
    #[arg(long, value_name = "THEME")]
    pub theme: Option<Theme>,
}

impl Args {
    /// What the run bar says at first.
    ///
    /// # Errors
    /// More policies than there are letters.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        anyhow::ensure!(
            self.policies.len() <= MOST_POLICIES,
            "--policy: the window compares up to {MOST_POLICIES} policies, got {}",
            self.policies.len()
        );
        // One that is given is A, and what it is compared with stays.
        let mut policies = self.policies.clone();
        let missing = DEFAULT_POLICIES.into_iter().skip(policies.len());
        policies.extend(missing.map(str::to_owned));
        let ignored = Ignored { model: self.model.clone(), fields: self.ignored_fields.clone() };
        Ok(Settings {
            model: self.model.clone(),
            text: self.text.clone(),
            pasted: None,
            tokens: self.tokens.max(2),
            repeat: self.repeat,
            policies,
            b_unchosen: self.policies.len() < DEFAULT_POLICIES.len(),
            ignored: if ignored.fields.is_empty() { Ignored::default() } else { ignored },
        })
    }
}

/// Dark on light, or light on dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

fn parse_tab(name: &str) -> Result<Tab, String> {
    let names = || Tab::ALL.iter().map(|tab| tab.name().to_lowercase()).collect::<Vec<_>>().join(", ");
    Tab::named(name).ok_or_else(|| format!("no tab `{name}`; there are {}", names()))
}

fn parse_layout(name: &str) -> Result<Layout, String> {
    let names = || Layout::ALL.map(|layout| layout.name().to_lowercase()).join(", ");
    Layout::named(name).ok_or_else(|| format!("no layout `{name}`; there are {}", names()))
}
