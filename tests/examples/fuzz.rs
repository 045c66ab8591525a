//! Fuzzing from the command line:
//!
//! ```text
//! cargo run --release -p lm-infinite-tests --example fuzz -- [--seconds 60] [--inputs N] [--seed N] [--target NAME]…
//! ```
//!
//! Targets take turns of equal time. The work is done by a second process, so that an input that ends it, or never ends,
//! is found too. Findings are saved under `tests/corpus/`; the exit code is 1 if there are any.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use lm_infinite_tests::fuzz::{self, Finding, Target};

#[global_allocator]
static ALLOCATOR: fuzz::memory::Counting = fuzz::memory::Counting;

/// Inputs of one target in a row.
const TURN: Duration = Duration::from_millis(200);

/// A process that reads one input for longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was asked for.
struct Options {
    seconds: u64,
    inputs: u64,
    seed: u64,
    targets: Vec<String>,
    /// First case, by target: where an earlier process ended.
    from: BTreeMap<String, u64>,
    /// File in which the second process says what it is at.
    progress: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self, String> {
        let mut options = Self {
            seconds: 60,
            inputs: u64::MAX,
            seed: std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()),
            targets: Vec::new(),
            from: BTreeMap::new(),
            progress: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name}: a value is missing"))?;
            let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
            match name.as_str() {
                "--seconds" => options.seconds = number()?,
                "--inputs" => options.inputs = number()?,
                "--seed" => options.seed = number()?,
                "--target" => options.targets.push(value),
                "--from" => {
                    let (target, case) = value.split_once('=').ok_or("--from: TARGET=CASE")?;
                    options.from.insert(target.into(), case.parse().map_err(|_| "--from: TARGET=CASE")?);
                }
                "--progress" => options.progress = Some(value.into()),
                _ => return Err(format!("{name}: known are --seconds, --inputs, --seed and --target")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let outcome = Options::read().and_then(|options| match &options.progress {
        Some(progress) => work(&options, progress),
        None => supervise(options),
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Targets in a folder of their own, in memory where the system has such a place.
fn targets(wanted: &[String]) -> Result<(tempfile::TempDir, Vec<Target>), String> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.map_err(|error| error.to_string())?;
    let mut targets = fuzz::all(folder.path()).map_err(|error| error.to_string())?;
    let names: Vec<&str> = targets.iter().map(|target| target.name).collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("--target {unknown}: known are {}", names.join(", ")));
    }
    targets.retain(|target| wanted.is_empty() || wanted.iter().any(|name| name == target.name));
    Ok((folder, targets))
}

/// What a target has been through.
#[derive(Default)]
struct Count {
    next: u64,
    read: u64,
    accepted: u64,
    time: Duration,
}

/// A pool of one thread: what it takes is counted, also where the library would use more threads. It lasts for one turn,
/// because the tokenizers library keeps something in the thread for every tokenizer that it read.
fn one_thread() -> Result<rayon::ThreadPool, String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).stack_size(8 << 20);
    pool.build().map_err(|error| error.to_string())
}

/// The second process: reads inputs until the time is over.
fn work(options: &Options, progress: &Path) -> Result<bool, String> {
    let (_folder, mut targets) = targets(&options.targets)?;
    let mut progress = File::options().write(true).open(progress).map_err(|error| error.to_string())?;
    fuzz::keep_panics();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut counts: Vec<Count> = targets
        .iter()
        .map(|target| Count { next: options.from.get(target.name).copied().unwrap_or(0), ..Count::default() })
        .collect();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut left = options.inputs;
    while left > 0 && Instant::now() < end {
        for (at, (target, count)) in targets.iter_mut().zip(&mut counts).enumerate() {
            let turn = Instant::now();
            let mut one_turn = || -> Result<(), String> {
                while left > 0 && turn.elapsed() < TURN {
                    let mark = [(at as u64).to_le_bytes(), count.next.to_le_bytes()].concat();
                    progress
                        .seek(SeekFrom::Start(0))
                        .and_then(|_| progress.write_all(&mark))
                        .map_err(|error| error.to_string())?;
                    match target.run(options.seed, count.next) {
                        Ok(accepted) => count.accepted += u64::from(accepted),
                        Err(finding) => {
                            let kind = format!("{}: {}", finding.target, fuzz::kind_of(&finding.reason));
                            let seen = kinds.entry(kind).or_default();
                            *seen += 1;
                            if *seen == 1 {
                                report(&finding, options.seed, count.next)?;
                            }
                        }
                    }
                    count.next += 1;
                    count.read += 1;
                    left -= 1;
                }
                Ok(())
            };
            one_thread()?.install(&mut one_turn)?;
            count.time += turn.elapsed();
        }
    }
    let total: u64 = counts.iter().map(|count| count.read).sum();
    for (target, count) in targets.iter().zip(&counts) {
        let Count { read, accepted, time, .. } = count;
        let percent = 100.0 * *accepted as f64 / (*read).max(1) as f64;
        let speed = *read as f64 / time.as_secs_f64().max(1e-9);
        println!("{:<18} {read:>10} inputs, {percent:>5.1} % accepted, {speed:>8.0} per second", target.name);
    }
    println!("{total} inputs, seed {}", options.seed);
    for (kind, times) in &kinds {
        println!("{times:>8} times {kind}");
    }
    Ok(kinds.is_empty())
}

fn report(finding: &Finding, seed: u64, case: u64) -> Result<(), String> {
    let path = finding.save(&corpus()).map_err(|error| error.to_string())?;
    let reason: String = finding.reason.chars().take(600).collect();
    println!(
        "finding in {}, seed {seed}, case {case}: {reason}\n    saved in {}",
        finding.target,
        path.display()
    );
    Ok(())
}

/// The first process: starts the second, and looks after it.
fn supervise(mut options: Options) -> Result<bool, String> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let (_folder, targets) = targets(&options.targets)?;
    let mut file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    file.write_all(&[0; 16]).map_err(|error| error.to_string())?;
    let mut good = true;
    loop {
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        if left == 0 {
            return Ok(good);
        }
        options.seconds = left;
        let Some(reason) = one_process(&options, file.path(), &mut good)? else { return Ok(good) };
        good = false;
        let mut mark = [0; 16];
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.read_exact(&mut mark))
            .map_err(|error| error.to_string())?;
        let (at, case) = mark.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let (at, case) = (number(at) as usize, number(case));
        let target = targets.get(at).ok_or_else(|| format!("it ended before its first input: {reason}"))?;
        let input = target.input(options.seed, case);
        report(&Finding { target: target.name, input, reason }, options.seed, case)?;
        options.from.insert(target.name.into(), case + 1);
    }
}

/// Why the second process ended too early; `None` if it did not.
fn one_process(options: &Options, progress: &Path, good: &mut bool) -> Result<Option<String>, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args(["--seconds", &options.seconds.to_string(), "--inputs", &options.inputs.to_string()]);
    command.args(["--seed", &options.seed.to_string(), "--progress"]).arg(progress);
    for target in &options.targets {
        command.args(["--target", target]);
    }
    for (target, case) in &options.from {
        command.args(["--from", &format!("{target}={case}")]);
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (mut last, mut since) = (Vec::new(), Instant::now());
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            *good &= status.success();
            return Ok(if matches!(status.code(), Some(0 | 1)) { None } else { Some(format!("{status}")) });
        }
        let mark = std::fs::read(progress).map_err(|error| error.to_string())?;
        if mark != last {
            (last, since) = (mark, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            return Ok(Some(format!("no end after {PATIENCE:?}")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
