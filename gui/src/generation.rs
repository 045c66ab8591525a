//! One prompt that every policy continues, in turn, on a thread of its own: the beginning of the text, words of the reader's own, or a
//! conversation.

mod conversation;
mod save;

use std::sync::Arc;

use lm_infinite::generate::Generator;
use lm_infinite::sampler::{Sampler, SamplingParams};
use lm_infinite::session::Session;
use lm_infinite::tokenizer::Tokenizer;

pub use self::conversation::{Conversation, Turn};
pub use self::save::json;

use crate::inputs::Inputs;
use crate::task::{Progress, Task, Wake, Worker};

/// Prompt tokens between two looks at whether to stop.
const PIECE: usize = 128;

/// Messages that wait for the window; then the thread waits.
const WAITING: usize = 64;

/// Where the prompt comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The beginning of the text.
    #[default]
    Text,
    /// What is typed.
    Own,
    /// A conversation, by the model's chat template.
    Chat,
}

impl Source {
    /// All, with what the buttons say and what that is.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Text, "Of the text", "The beginning of the text is the prompt"),
        (Self::Own, "Own prompt", "What is typed is the prompt"),
        (Self::Chat, "Chat", "A conversation of several turns, by the model's chat template"),
    ];
}

/// What the fields of the tab say.
#[derive(Clone, Debug, PartialEq)]
pub struct Controls {
    /// Where the prompt comes from.
    pub source: Source,
    /// Tokens of the text that make the prompt; `None` until the length of the text is known.
    pub prompt: Option<u64>,
    /// What is typed: a prompt, or the next message of a conversation.
    pub typed: String,
    /// What a conversation begins with, for models that take it.
    pub system: String,
    /// Tokens to generate.
    pub tokens: u64,
    /// 0 always takes the most probable token.
    pub temperature: f64,
    /// Only this many of the most probable tokens take part; 0 for all.
    pub top_k: u64,
    /// Only the most probable tokens up to this sum of probabilities take part; 1 for all.
    pub top_p: f64,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            source: Source::Text,
            prompt: None,
            typed: String::new(),
            system: String::new(),
            tokens: 200,
            temperature: 0.8,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
        }
    }
}

impl Controls {
    /// How the next token is chosen.
    pub fn sampling(&self) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature,
            top_k: usize::try_from(self.top_k).ok().filter(|&most| most > 0),
            top_p: (self.top_p < 1.0).then_some(self.top_p),
            seed: self.seed,
        }
    }
}

/// What is gone on from.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// So many tokens of the text.
    Text(usize),
    /// These words.
    Own(String),
    /// The last turn of this conversation, which has no answers yet.
    Chat(Conversation),
}

/// What to generate.
#[derive(Clone)]
pub struct Request {
    /// With what.
    pub inputs: Arc<Inputs>,
    /// What it goes on from.
    pub prompt: Prompt,
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
    /// The prompts are read: their lengths by policy, in tokens.
    Begun(Vec<usize>),
    /// A token of one of them.
    Token(usize, Piece),
    /// What the last tokens of one of them leave unfinished.
    Rest(usize, String),
}

/// What came of one policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Continued {
    /// Length of its prompt, in tokens.
    pub prompt: usize,
    /// Its tokens.
    pub pieces: Vec<Piece>,
}

impl Continued {
    /// What its tokens say.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }
}

/// What came, by policy.
pub type Generated = Vec<Continued>;

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
        Message::Begun(prompts) => {
            all = prompts.into_iter().map(|prompt| Continued { prompt, pieces: Vec::new() }).collect();
        }
        Message::Token(side, piece) => {
            if let Some(continued) = all.get_mut(side) {
                continued.pieces.push(piece);
            }
        }
        Message::Rest(side, text) => {
            if let Some(last) = all.get_mut(side).and_then(|continued| continued.pieces.last_mut()) {
                last.text.push_str(&text);
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

    /// The last request.
    pub fn request(&self) -> Option<&Request> {
        self.0.request()
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

/// The prompt of every policy, in tokens.
fn prompts(request: &Request) -> anyhow::Result<Vec<Vec<u32>>> {
    let inputs = &request.inputs;
    let policies = inputs.policies.len();
    match &request.prompt {
        Prompt::Text(tokens) => Ok(vec![inputs.tokens.range(0..*tokens); policies]),
        Prompt::Own(text) => Ok(vec![inputs.tokenizer.encode(text)?; policies]),
        Prompt::Chat(conversation) => {
            let template = inputs.chat_template.as_ref();
            let template = template.ok_or_else(|| anyhow::anyhow!(without_template(&inputs.model)))?;
            let prompt = |side: usize| -> anyhow::Result<Vec<u32>> {
                let rendered = template.render(&conversation.messages(side), true)?;
                let tokenizer: &Tokenizer = &inputs.tokenizer;
                Ok(tokenizer.encode_without_bos(&rendered)?)
            };
            (0..policies).map(prompt).collect()
        }
    }
}

/// Why there is no conversation with a model.
pub fn without_template(model: &str) -> String {
    format!(
        "{model} has no chat template: it was not trained to converse, and goes on with a text or a prompt instead"
    )
}

fn generate(request: &Request, worker: &Worker<Message>) -> anyhow::Result<()> {
    let inputs = &request.inputs;
    let prompts = prompts(request)?;
    let stop: Vec<u32> = inputs.tokenizer.stop_tokens().collect();
    worker.report(|progress| progress.total = prompts.iter().map(|prompt| prompt.len() as u64).sum());
    let read = |count: usize| {
        worker.report(|progress| progress.done += count as u64);
        !worker.is_cancelled()
    };
    let mut sides = Vec::new();
    for (spec, prompt) in inputs.policies.iter().zip(&prompts) {
        let (last, before) = prompt.split_last().ok_or_else(|| anyhow::anyhow!("the prompt is empty"))?;
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
    if !worker.send(Message::Begun(prompts.iter().map(Vec::len).collect())) {
        return Ok(());
    }
    for _ in 0..request.tokens {
        for (side, going) in sides.iter_mut().enumerate() {
            let Some((generator, stream)) = going else { continue };
            let Some(token) = generator.next().transpose()? else {
                let rest = going.take().map(|(_, stream)| stream.finish()).transpose()?;
                worker.send(Message::Rest(side, rest.unwrap_or_default()));
                continue;
            };
            let piece = Piece { text: stream.push(token)?, nll: generator.nll() };
            if !worker.send(Message::Token(side, piece)) {
                return Ok(());
            }
        }
    }
    for (side, going) in sides.into_iter().enumerate() {
        if let Some((_, stream)) = going {
            worker.send(Message::Rest(side, stream.finish()?));
        }
    }
    Ok(())
}
