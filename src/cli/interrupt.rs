//! Ctrl-C in a job that can be resumed: the first asks it to save and stop, the second ends the program at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a program that was ended by SIGINT exits with.
const INTERRUPTED: i32 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<bool> = OnceLock::new();

/// Whether the user has asked to stop; to be looked at between two steps.
pub struct Interrupt;

impl Interrupt {
    /// From now on Ctrl-C asks instead of ending the program. Where the system lets nobody listen, it goes on ending it.
    pub fn listen() -> Self {
        INSTALLED.get_or_init(|| {
            ctrlc::set_handler(|| {
                if ASKED.swap(true, Ordering::Relaxed) {
                    exit_now();
                }
                eprintln!("\nsaving; press Ctrl-C again to stop without");
            })
            .is_ok()
        });
        Self
    }

    /// Has the user asked?
    pub fn asked(&self) -> bool {
        ASKED.load(Ordering::Relaxed)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the user asked a second time; what was saved is whole on disk"
)]
fn exit_now() {
    std::process::exit(INTERRUPTED);
}
