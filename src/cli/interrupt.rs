//! Ctrl-C: a job that can be resumed saves and stops, and a second one ends the program at once; every other command ends at the
//! first, and says what there is of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a program that was ended by SIGINT exits with.
const INTERRUPTED: i32 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<bool> = OnceLock::new();
/// What is said at the first Ctrl-C; `None` as long as that ends the program.
static STOPPING: OnceLock<&str> = OnceLock::new();

/// Whether the user has asked to stop; to be looked at between two steps.
pub struct Interrupt;

impl Interrupt {
    /// From now on Ctrl-C ends the program with a word on what is left of it. Where the system lets nobody listen, it ends it without.
    pub fn explain() {
        INSTALLED.get_or_init(|| ctrlc::set_handler(handle).is_ok());
    }

    /// From now on Ctrl-C asks instead of ending the program, and `said` answers.
    pub fn listen(said: &'static str) -> Self {
        Self::explain();
        STOPPING.get_or_init(|| said);
        Self
    }

    /// Has the user asked?
    pub fn asked(&self) -> bool {
        ASKED.load(Ordering::Relaxed)
    }
}

fn handle() {
    let Some(said) = STOPPING.get() else {
        eprintln!("\nstopped; this command cannot be resumed, and writes results at its end: there are none");
        exit_now();
    };
    if ASKED.swap(true, Ordering::Relaxed) {
        exit_now();
    }
    eprintln!("\n{said}; press Ctrl-C again to stop at once");
}

#[expect(clippy::disallowed_methods, reason = "the user asked for it; what was saved is whole on disk")]
fn exit_now() -> ! {
    std::process::exit(INTERRUPTED);
}
