//! Fuzzing: valid files are broken in every way that comes to mind, and read. Whatever is read must be refused with an
//! error, or work when it is used; never a panic, a hang, or an allocation that the size of the input does not explain,
//! and twice the same input gives twice the same answer.
//!
//! `cargo run --release -p lm-infinite-tests --example fuzz -- --seconds 60` runs it for a minute, `--seconds 36000` for
//! a night. What it finds is made as small as it gets and saved under `tests/corpus/`, whose files a test reads again.

mod checkpoints;
mod mutate;
mod results;
mod seeds;
mod targets;
mod uses;

pub mod memory;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub use targets::all;

/// Longest time for one input.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most attempts at making a finding smaller.
const SHRINKING: usize = 2000;

/// What reading an input came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An error, in words.
    Refused(String),
    /// Something that worked; what it said and gave.
    Accepted(String),
}

impl Outcome {
    /// An error is a refusal.
    pub fn refused(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What a target does with an input.
pub type Check = dyn FnMut(&[u8]) -> Outcome + Send;

/// Something that reads input.
pub struct Target {
    /// What users of the harness call it.
    pub name: &'static str,
    /// Valid inputs.
    pub files: Vec<Vec<u8>>,
    /// Reads an input and uses what it gets. Panics where a promise is broken.
    pub check: Box<Check>,
    /// Bytes that any input may take, however short, and how many more each of its own bytes may.
    pub allowance: [usize; 2],
}

/// An input that breaks a promise.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The target's name.
    pub target: &'static str,
    /// The input, as small as it was made.
    pub input: Vec<u8>,
    /// What was broken.
    pub reason: String,
}

impl Finding {
    /// Saves the input under `folder`; the name is the digest of its content.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn save(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let folder = folder.join(self.target);
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(&lm_infinite::digest::sha256(&self.input)[..16]);
        std::fs::write(&path, &self.input)?;
        Ok(path)
    }
}

/// A target that reads a file.
fn file(
    name: &'static str,
    path: PathBuf,
    files: Vec<Vec<u8>>,
    allowance: [usize; 2],
    mut check: impl FnMut(&Path) -> Outcome + Send + 'static,
) -> Target {
    let check = move |input: &[u8]| {
        std::fs::write(&path, input).expect("the folder of the harness can be written");
        check(&path)
    };
    Target { name, files, check: Box::new(check), allowance }
}

thread_local! {
    /// Place and message of the last panic of this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics are kept for [`Target::judge`] instead of printed, from now on.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANIC.with(|kept| *kept.borrow_mut() = Some(panic.to_string()));
    }));
}

impl Target {
    /// Reads `input` twice. True if it was accepted; what is broken, if anything is.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn judge(&mut self, input: &[u8]) -> Result<bool, String> {
        let (first, second) = (self.once(input)?, self.once(input)?);
        // Of several faults, which one is named may be a matter of a library's hash table.
        let refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused(_));
        if first != second && !(refused(&first) && refused(&second)) {
            return Err(format!("two answers: {first:?} and {second:?}"));
        }
        Ok(matches!(first, Outcome::Accepted(_)))
    }

    fn once(&mut self, input: &[u8]) -> Result<Outcome, String> {
        let begin = Instant::now();
        let (outcome, peak) = memory::peak_of(|| catch_unwind(AssertUnwindSafe(|| (self.check)(input))));
        let outcome = outcome.map_err(|payload| {
            let kept = PANIC.with(|kept| kept.borrow_mut().take());
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            format!("panic: {}", kept.or(text).unwrap_or_default())
        })?;
        let limit = self.allowance[0] + self.allowance[1] * input.len();
        if peak > limit {
            let what = if matches!(outcome, Outcome::Accepted(_)) { "accepted" } else { "refused" };
            return Err(format!(
                "memory: {} bytes took {peak}, at most {limit} are fine ({what})",
                input.len()
            ));
        }
        let took = begin.elapsed();
        if took > PATIENCE {
            return Err(format!("time: {took:?}"));
        }
        Ok(outcome)
    }

    /// The input of case `case` under `seed`.
    pub fn input(&self, seed: u64, case: u64) -> Vec<u8> {
        match self.tree(seed, case) {
            Some(tree) => tree.current().apply(&self.files),
            None => Vec::new(),
        }
    }

    fn tree(&self, seed: u64, case: u64) -> Option<impl ValueTree<Value = mutate::Plan> + use<>> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&case.to_le_bytes());
        for (to, from) in key[16..].iter_mut().zip(self.name.bytes()) {
            *to = from;
        }
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        let config = Config { failure_persistence: None, ..Config::default() };
        mutate::plans().new_tree(&mut TestRunner::new_with_rng(config, random)).ok()
    }

    /// Reads the input of case `case` under `seed`: true if it was accepted.
    ///
    /// # Errors
    /// What is broken, with an input made smaller.
    pub fn run(&mut self, seed: u64, case: u64) -> Result<bool, Finding> {
        let input = self.input(seed, case);
        self.judge(&input).map_err(|reason| self.smaller(seed, case, input, reason))
    }

    /// The smallest input that was found to break the same promise.
    fn smaller(&mut self, seed: u64, case: u64, mut input: Vec<u8>, mut reason: String) -> Finding {
        let kind = kind_of(&reason);
        if let Some(mut tree) = self.tree(seed, case) {
            let mut went = tree.simplify();
            for _ in 0..SHRINKING {
                if !went {
                    break;
                }
                let candidate = tree.current().apply(&self.files);
                went = match self.judge(&candidate) {
                    Err(other) if kind_of(&other) == kind => {
                        (input, reason) = (candidate, other);
                        tree.simplify()
                    }
                    _ => tree.complicate(),
                };
            }
        }
        Finding { target: self.name, input, reason }
    }
}

/// What a finding has in common with others of its kind: the promise, and of panics the place.
pub fn kind_of(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let line = if line.starts_with("panic") { line } else { line.split(':').next().unwrap_or_default() };
    line.to_owned()
}
