//! One prompt that every policy goes on from, in turn, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use eframe::egui::Context;
use lm_infinite::generate::Generator;
use lm_infinite::sampler::{Sampler, SamplingParams};
use lm_infinite::session::Session;

use crate::job::Inputs;

/// Prompt tokens between two looks at whether to stop.
const PIECE: usize = 128;

/// Messages that wait for the window; then the thread waits.
const WAITING: usize = 64;

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
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
    /// What it costs under the model, in nats.
    pub nll: f32,
}

/// What the thread sends.
enum Message {
    Read(usize),
    Token(usize, Piece),
    Failed(String),
}

/// A generation on the way, or finished. Dropping it stops it.
pub struct Generation {
    /// What was asked for.
    pub request: Request,
    /// What it goes on from.
    pub inputs: Arc<Inputs>,
    /// Prompt tokens read, all policies together.
    pub read: usize,
    /// What came, by policy.
    pub pieces: Vec<Vec<Piece>>,
    /// Why it ended early.
    pub failure: Option<String>,
    /// Nothing more will come.
    pub finished: bool,
    messages: Receiver<Message>,
    stop: Arc<AtomicBool>,
}

impl Generation {
    /// Begins.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(inputs: Arc<Inputs>, request: Request, ctx: Context) -> std::io::Result<Self> {
        let (sender, messages) = sync_channel(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let work = {
            let (inputs, request, stop) = (inputs.clone(), request.clone(), stop.clone());
            move || {
                let tell = Teller { sender: &sender, stop: &stop, ctx: &ctx };
                if let Err(failure) = generate(&inputs, &request, &tell) {
                    tell.send(Message::Failed(format!("{failure:#}")));
                }
                drop(sender);
                ctx.request_repaint();
            }
        };
        std::thread::Builder::new().name("generate".into()).spawn(work)?;
        let pieces = vec![Vec::new(); inputs.policies.len()];
        Ok(Self { request, inputs, read: 0, pieces, failure: None, finished: false, messages, stop })
    }

    /// Takes what has come.
    pub fn update(&mut self) {
        use std::sync::mpsc::TryRecvError;
        loop {
            match self.messages.try_recv() {
                Ok(Message::Read(count)) => self.read += count,
                Ok(Message::Token(side, piece)) => self.pieces[side].push(piece),
                Ok(Message::Failed(reason)) => self.failure = Some(reason),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.finished = true;
                    return;
                }
            }
        }
    }

    /// Ends; what came stays.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.finished = true;
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Teller<'a> {
    sender: &'a SyncSender<Message>,
    stop: &'a AtomicBool,
    ctx: &'a Context,
}

impl Teller<'_> {
    /// False if nobody wants more.
    fn send(&self, message: Message) -> bool {
        let sent = self.sender.send(message).is_ok();
        self.ctx.request_repaint();
        sent && !self.stop.load(Ordering::Relaxed)
    }
}

fn generate(inputs: &Inputs, request: &Request, tell: &Teller<'_>) -> anyhow::Result<()> {
    let prompt = &inputs.tokens[..request.prompt.clamp(1, inputs.tokens.len())];
    let stop: Vec<u32> = inputs.tokenizer.stop_tokens().collect();
    let (last, before) = prompt.split_last().unwrap_or((&0, &[]));
    let mut sides = Vec::new();
    for spec in &inputs.policies {
        let mut session = Session::new(inputs.decoder.clone(), spec.policy.clone())?;
        for piece in before.chunks(PIECE) {
            session.feed(piece, None)?;
            if !tell.send(Message::Read(piece.len())) {
                return Ok(());
            }
        }
        let generator = Generator::new(session, &[*last], Sampler::new(request.sampling)?, &stop)?;
        if !tell.send(Message::Read(1)) {
            return Ok(());
        }
        sides.push(Some((generator, inputs.tokenizer.stream_after(prompt))));
    }
    for _ in 0..request.tokens {
        for (side, going) in sides.iter_mut().enumerate() {
            let Some((generator, stream)) = going else { continue };
            let Some(token) = generator.next().transpose()? else {
                *going = None;
                continue;
            };
            let piece = Piece { text: stream.push(token)?, nll: generator.nll() };
            if !tell.send(Message::Token(side, piece)) {
                return Ok(());
            }
        }
    }
    Ok(())
}
