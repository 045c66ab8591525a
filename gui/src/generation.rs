//! One prompt that every policy continues, in turn, on a thread of its own.

use std::sync::Arc;

use lm_infinite::generate::Generator;
use lm_infinite::sampler::{Sampler, SamplingParams};
use lm_infinite::session::Session;

use crate::inputs::Inputs;
use crate::task::{Progress, Task, Wake, Worker};

/// Prompt tokens between two looks at whether to stop.
const PIECE: usize = 128;

/// Messages that wait for the window; then the thread waits.
const WAITING: usize = 64;

/// What the fields of the tab say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// Tokens of the text that make the prompt; `None` until the length of the text is known.
    pub prompt: Option<u64>,
    /// Tokens to generate.
    pub tokens: u64,
    /// 0 always takes the most probable token.
    pub temperature: f64,
}

impl Default for Controls {
    fn default() -> Self {
        Self { prompt: None, tokens: 200, temperature: 0.8 }
    }
}

/// What to generate.
#[derive(Clone)]
pub struct Request {
    /// What it goes on from.
    pub inputs: Arc<Inputs>,
    /// Tokens of the text that make the prompt.
    pub prompt: usize,
    /// Tokens to generate.
    pub tokens: usize,
    /// How the next token is chosen.
    pub sampling: SamplingParams,
}

/// A token that was generated.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Its text; empty while a character is unfinished.
    pub text: String,
    /// Its loss under the model, in nats.
    pub nll: f32,
}

/// What the thread sends.
enum Message {
    /// The prompt is read by this many policies.
    Begun(usize),
    /// A token of one of them.
    Token(usize, Piece),
}

/// What came, by policy.
pub type Generated = Vec<Vec<Piece>>;

/// The newest generation. Dropping it stops it.
pub struct Generation(Task<Request, Generated, Message>);

impl Default for Generation {
    fn default() -> Self {
        Self(Task::gathering("generate", WAITING, gather))
    }
}

fn gather(before: Option<Generated>, message: Message) -> Generated {
    let mut all = before.unwrap_or_default();
    match message {
        Message::Begun(count) => all = vec![Vec::new(); count],
        Message::Token(side, piece) => {
            if let Some(pieces) = all.get_mut(side) {
                pieces.push(piece);
            }
        }
    }
    all
}

impl Generation {
    /// Begins; what came of an earlier request stays until the prompt is read.
    pub fn start(&mut self, request: Request, wake: Wake) {
        self.0.ask(request, wake, |request, worker| generate(&request, worker));
    }

    /// Takes what has come.
    pub fn poll(&mut self) {
        self.0.poll();
    }

    /// Ends; what came stays.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Whether more will come.
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// Whether there was no request yet.
    pub fn is_new(&self) -> bool {
        self.0.request().is_none()
    }

    /// The last good result, with its request.
    pub fn result(&self) -> Option<(&Request, &Generated)> {
        self.0.answer()
    }

    /// Prompt tokens read, while the prompt is being read.
    pub fn reading(&self) -> Option<&Progress> {
        let progress = self.0.progress();
        (self.0.is_running() && progress.done < progress.total).then_some(progress)
    }

    /// Why it ended early.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure()
    }
}

fn generate(request: &Request, worker: &Worker<Message>) -> anyhow::Result<()> {
    let inputs = &request.inputs;
    let prompt = &inputs.tokens.range(0..request.prompt)[..];
    let stop: Vec<u32> = inputs.tokenizer.stop_tokens().collect();
    let (last, before) = prompt.split_last().ok_or_else(|| anyhow::anyhow!("the prompt is empty"))?;
    worker.report(|progress| progress.total = (prompt.len() * inputs.policies.len()) as u64);
    let read = |count: usize| {
        worker.report(|progress| progress.done += count as u64);
        !worker.is_cancelled()
    };
    let mut sides = Vec::new();
    for spec in &inputs.policies {
        let mut session = Session::new(inputs.decoder.clone(), spec.policy.clone())?;
        for piece in before.chunks(PIECE) {
            session.feed(piece, None)?;
            if !read(piece.len()) {
                return Ok(());
            }
        }
        let generator = Generator::new(session, &[*last], Sampler::new(request.sampling)?, &stop)?;
        if !read(1) {
            return Ok(());
        }
        sides.push(Some((generator, inputs.tokenizer.stream_after(prompt))));
    }
    if !worker.send(Message::Begun(sides.len())) {
        return Ok(());
    }
    for _ in 0..request.tokens {
        for (side, going) in sides.iter_mut().enumerate() {
            let Some((generator, stream)) = going else { continue };
            let Some(token) = generator.next().transpose()? else {
                *going = None;
                continue;
            };
            let piece = Piece { text: stream.push(token)?, nll: generator.nll() };
            if !worker.send(Message::Token(side, piece)) {
                return Ok(());
            }
        }
    }
    Ok(())
}
