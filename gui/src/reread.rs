//! A window of attention, read again on a thread of its own: what is asked for, how far it is, and the last good answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use eframe::egui;
use lm_infinite::attention_window::{AttentionWindow, WindowRequest};

use crate::job::Inputs;

/// Which window of which run.
#[derive(Clone)]
pub struct Question {
    /// Model and text.
    pub inputs: Arc<Inputs>,
    /// 0 for policy A, 1 for B.
    pub side: usize,
    /// What to read.
    pub request: WindowRequest,
}

/// Answers one question after the other. A new question ends the work on the one before, whose answer is never taken.
#[derive(Default)]
pub struct Reread {
    asked: Option<Question>,
    running: Option<Running>,
    /// With what it was read from.
    answer: Option<(Arc<Inputs>, Arc<AttentionWindow>)>,
    failure: Option<String>,
}

struct Running {
    shared: Arc<Shared>,
    answers: Receiver<Result<AttentionWindow, String>>,
}

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    read: AtomicU64,
    total: AtomicU64,
}

impl Question {
    /// Of the same head under the same policy on the same text, if perhaps elsewhere in it.
    fn same_head(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inputs, &other.inputs)
            && self.side == other.side
            && (self.request.layer, self.request.head) == (other.request.layer, other.request.head)
    }
}

impl Reread {
    /// Begins to answer, unless this is the question that was asked last. The last answer stays while it is of the same head.
    pub fn ask(&mut self, question: Question, ctx: &egui::Context) {
        let last = self.asked.as_ref();
        if last.is_some_and(|last| last.same_head(&question) && last.request == question.request) {
            return;
        }
        if !last.is_some_and(|last| last.same_head(&question)) {
            self.answer = None;
        }
        self.cancel();
        self.failure = None;
        self.asked = Some(question.clone());
        match Running::start(question, ctx.clone()) {
            Ok(running) => self.running = Some(running),
            Err(failure) => self.failure = Some(failure.to_string()),
        }
    }

    /// Ends the work and forgets the question; the last answer stays.
    pub fn forget(&mut self) {
        self.cancel();
        (self.asked, self.failure) = (None, None);
    }

    /// Lets go of what was read from anything but `inputs`.
    pub fn keep_only(&mut self, inputs: Option<&Arc<Inputs>>) {
        let same = |of: &Arc<Inputs>| inputs.is_some_and(|inputs| Arc::ptr_eq(of, inputs));
        if self.asked.as_ref().is_some_and(|asked| !same(&asked.inputs)) {
            self.forget();
        }
        self.answer = self.answer.take().filter(|(of, _)| same(of));
    }

    fn cancel(&mut self) {
        if let Some(running) = self.running.take() {
            running.shared.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the answer if it is there.
    pub fn poll(&mut self) {
        let Some(running) = &self.running else { return };
        match running.answers.try_recv() {
            Ok(Ok(window)) => {
                let inputs = self.asked.as_ref().map(|asked| asked.inputs.clone());
                self.answer = inputs.map(|inputs| (inputs, Arc::new(window)));
            }
            Ok(Err(failure)) => self.failure = Some(failure),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => {
                self.failure = Some("the thread ended without an answer".into())
            }
        }
        self.running = None;
    }

    /// The last good answer: of the head that was asked for last, if perhaps of another place.
    pub fn answer(&self) -> Option<&Arc<AttentionWindow>> {
        self.answer.as_ref().map(|(_, window)| window)
    }

    /// Share of the tokens that have been read, while there is work.
    pub fn progress(&self) -> Option<f32> {
        let shared = &self.running.as_ref()?.shared;
        let total = shared.total.load(Ordering::Relaxed).max(1);
        Some(shared.read.load(Ordering::Relaxed) as f32 / total as f32)
    }

    /// Why the last question has no answer.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

impl Drop for Reread {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Running {
    fn start(question: Question, ctx: egui::Context) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (sender, answers) = sync_channel(1);
        let work = {
            let shared = shared.clone();
            move || {
                let Question { inputs, side, request } = question;
                let watch = |read, total| {
                    shared.read.store(read, Ordering::Relaxed);
                    shared.total.store(total, Ordering::Relaxed);
                    ctx.request_repaint();
                    !shared.cancelled.load(Ordering::Relaxed)
                };
                let answer = match inputs.policies.get(side) {
                    Some(spec) => {
                        AttentionWindow::read(&inputs.decoder, &spec.policy, &inputs.tokens, &request, &watch)
                            .map_err(|failure| failure.to_string())
                            .transpose()
                    }
                    None => Some(Err("there is only one policy".to_owned())),
                };
                // Nobody listens any more to what was cancelled.
                if let Some(answer) = answer {
                    let _ = sender.send(answer);
                }
                ctx.request_repaint();
            }
        };
        std::thread::Builder::new().name("attention window".into()).spawn(work)?;
        Ok(Self { shared, answers })
    }
}
