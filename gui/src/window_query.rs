//! A window of attention, computed for the place that the reader looks at: what is asked for, how far it is, and the last good
//! answer.

use std::sync::Arc;

use lm_infinite::attention_window::{AttentionWindow, WindowRequest};

use crate::inputs::Inputs;
use crate::task::{Task, Wake};

/// Which window of which run.
#[derive(Clone)]
pub struct Question {
    /// Model and text.
    pub inputs: Arc<Inputs>,
    /// 0 for policy A, 1 for B.
    pub side: usize,
    /// What to compute.
    pub request: WindowRequest,
}

impl Question {
    /// Of the same head under the same policy on the same text, if perhaps elsewhere in it.
    fn same_head(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inputs, &other.inputs)
            && self.side == other.side
            && (self.request.layer, self.request.head) == (other.request.layer, other.request.head)
    }
}

/// Answers one question after the other. A new question ends the work on the one before, whose answer is never taken.
pub struct WindowQuery(Task<Question, Arc<AttentionWindow>>);

impl Default for WindowQuery {
    fn default() -> Self {
        Self(Task::newest("window query"))
    }
}

impl WindowQuery {
    /// Begins to answer, unless this is the question that was asked last. The last answer stays while it is of the same head.
    pub fn ask(&mut self, question: Question, wake: Wake) {
        let same = |last: &Question| last.same_head(&question) && last.request == question.request;
        if self.0.request().is_some_and(same) {
            return;
        }
        self.0.keep_answer_if(|of| of.same_head(&question));
        self.0.ask(question, wake, |Question { inputs, side, request }, worker| {
            let watch = |done, total| {
                worker.report(|progress| (progress.done, progress.total) = (done, total));
                !worker.is_cancelled()
            };
            let spec =
                inputs.policies.get(side).ok_or_else(|| anyhow::anyhow!("there is only one policy"))?;
            let tokens = inputs.tokens.range(0..request.queries.end as usize);
            let window = AttentionWindow::read(&inputs.decoder, &spec.policy, &tokens, &request, &watch)?;
            if let Some(window) = window {
                worker.send(Arc::new(window));
            }
            Ok(())
        });
    }

    /// Ends the work and forgets the question; the last answer stays.
    pub fn forget(&mut self) {
        self.0.forget();
    }

    /// Lets go of what was computed from anything but `inputs`.
    pub fn keep_only(&mut self, inputs: Option<&Arc<Inputs>>) {
        let same = |of: &Question| inputs.is_some_and(|inputs| Arc::ptr_eq(&of.inputs, inputs));
        if self.0.request().is_some_and(|asked| !same(asked)) {
            self.0.forget();
        }
        self.0.keep_answer_if(same);
    }

    /// Takes the answer if it is there.
    pub fn poll(&mut self) {
        self.0.poll();
    }

    /// The last good answer: of the head that was asked for last, if perhaps of another place.
    pub fn answer(&self) -> Option<&Arc<AttentionWindow>> {
        self.0.answer().map(|(_, window)| window)
    }

    /// Share of the tokens that have been read, while there is work.
    pub fn progress(&self) -> Option<f32> {
        self.0.is_running().then(|| self.0.progress().share())
    }

    /// Why the last question has no answer.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure()
    }
}
