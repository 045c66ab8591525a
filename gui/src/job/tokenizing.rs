//! Tokenizing beside reading: a thread of its own adds tokens as the text gives them.

use lm_infinite::corpus::{self, DocumentStarts, TokenStream};
use lm_infinite::text::Text;

use super::orders::Orders;
use super::update::Update;
use crate::inputs::Inputs;
use crate::task::Worker;
use crate::text_tokens::{Sample, State, TextTokens};

/// Name of the threads that tokenize.
pub const NAME: &str = "tokenizer";

/// Tokens between two looks at whether anybody wants more.
const PIECE: u64 = 1 << 14;

/// Adds the tokens of `text` to `inputs`, until there are as many as were asked for, the text ends, or nobody wants more. With
/// `repeat`, documents are drawn behind its end by this seed.
pub fn tokenize(
    text: &Text,
    repeat: Option<u64>,
    inputs: &Inputs,
    orders: &Orders,
    worker: &Worker<Update>,
) -> anyhow::Result<()> {
    // Whoever waits for tokens is told whatever happens, a panic included.
    let tokens = &inputs.tokens;
    let _told = Told(tokens);
    let wanted = inputs.settings.tokens;
    let mut stream = TokenStream::new(text.clone(), &inputs.tokenizer, Some(wanted), repeat);
    stream.keep_document_starts();
    let mut documents = DocumentStarts::new(&inputs.tokenizer);
    // On a thread of its own, so that reading does not wait behind it.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| NAME.to_owned()).build()?;
    loop {
        orders.wait_out_stop(worker);
        if worker.is_cancelled() || tokens.state() == State::Failed {
            return Ok(());
        }
        let left = wanted - stream.mark().tokens;
        let piece = pool.install(|| stream.take(left.min(PIECE) as usize))?;
        let mark = stream.mark();
        documents.push(&piece, stream.document_bytes())?;
        tokens.push(&piece, mark.repeats_from);
        worker.report(|progress| progress.ready = mark.tokens);
        if piece.is_empty() || mark.tokens == wanted {
            let mut notes = text.notes();
            notes.extend(corpus::length_note(mark.tokens, Some(wanted), mark.repeats_from, repeat));
            let documents = match mark.repeats_from {
                None => documents.finish(mark.text.bytes),
                Some(_) => Vec::new(),
            };
            let (read, repeated_from) = (mark.text, mark.repeats_from);
            tokens.finish(Sample { read, repeated_from, notes, documents });
            return Ok(());
        }
    }
}

/// Says at its end that no more tokens will come, unless these are all; then nobody goes on to make more, either.
pub struct Told<'a>(pub &'a TextTokens);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.fail();
    }
}
