//! Windows of the training length, read at the end of contexts that are composed of each other.

use std::ops::Range;
use std::sync::Arc;

use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::session::{Decoder, Passage, Session};

use super::ladder::Ladder;
use super::result::{Observed, Predicted};
use super::watch::Watch;
use crate::diagnose::{MeasurementPlan, START_TOKENS};
use crate::error::{Error, Result};

/// Tokens whose losses are compared at one length, about, all windows together.
const COMPARED: u64 = 2048;
/// Windows, at least and at most: keys of a window's own future must not stand before it, so there is another.
const WINDOWS: [u64; 2] = [2, 16];
/// Tokens of a window that are read again at every length, at most.
const LONGEST_BODY: u64 = 1024;
/// Queries whose rows are looked at, at one length, about, all windows together; and of one window, at least and at most.
const QUERIES: u64 = 128;
const QUERIES_OF_A_WINDOW: [u64; 2] = [8, 16];
/// The part of a window, at its end, where they stand: a 16th, less than from one length to the next.
const LATE: u64 = 16;

/// Which tokens of a text a prediction reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Tokens of a window, the training length.
    pub length: u64,
    /// Windows that are wanted.
    pub count: u64,
}

impl Windows {
    /// As many of the training length as give enough tokens to compare.
    pub fn of(trained: u64) -> Self {
        let compared = (trained / 2).clamp(1, LONGEST_BODY);
        Self { length: trained, count: COMPARED.div_ceil(compared).clamp(WINDOWS[0], WINDOWS[1]) }
    }

    /// Tokens of a text that they need.
    pub fn tokens(&self) -> u64 {
        self.length.saturating_mul(self.count)
    }

    /// The windows of `tokens`, whole ones alone, one behind the other, each behind `bos` where there is one.
    ///
    /// # Errors
    /// Where there are fewer than two.
    pub fn cut(&self, tokens: &[u32], bos: Option<u32>) -> Result<Vec<Vec<u32>>> {
        let own = (self.length as usize).saturating_sub(usize::from(bos.is_some())).max(1);
        // The text begins with a BOS of its own.
        let text = tokens.strip_prefix(bos.as_slice()).unwrap_or(tokens);
        let windows: Vec<Vec<u32>> = text
            .chunks_exact(own)
            .take(self.count as usize)
            .map(|window| bos.into_iter().chain(window.iter().copied()).collect())
            .collect();
        if (windows.len() as u64) < WINDOWS[0] {
            let reason = format!(
                "it needs {} windows of the training length ({} tokens), and the text has {} tokens",
                WINDOWS[0],
                self.length,
                tokens.len()
            );
            return Err(Error::input("a prediction", reason));
        }
        Ok(windows)
    }
}

/// What the model of `decoder` will do up to `longest` tokens, from `windows` of its training length (two at least, all of that
/// length). A loss that rises by more than `margin` nats fails. `progress` is told how many windows were read so far, and of
/// how many.
///
/// # Errors
/// Windows that are too few, of other lengths, or too short to compare anything; as [`Session::score`].
pub fn predict(
    decoder: &Arc<Decoder>,
    windows: &[Vec<u32>],
    longest: u64,
    margin: f64,
    progress: &dyn Fn(u64, u64),
) -> Result<Predicted> {
    let trained = decoder.config().trained_length;
    let ladder = Ladder::new(trained, longest);
    let steps = ladder.lengths().len();
    let told = |done: usize| progress(done as u64, (steps * windows.len()) as u64);
    let mut composer = Composer::read(decoder, windows, ladder, &told)?;
    for step in 1..steps {
        composer.climb(step, &|window| told(step * windows.len() + window + 1))?;
    }
    Predicted::new(composer.observed(margin))
}

/// The windows, and what was read of them so far.
struct Composer<'a> {
    decoder: &'a Arc<Decoder>,
    windows: &'a [Vec<u32>],
    ladder: Ladder,
    trained: usize,
    /// Start tokens, which stand at the begin of every context.
    start: usize,
    /// Tokens at the end of a window that are read at every length.
    body: usize,
    /// The first tokens of each window, as many as `start`.
    starts: Vec<Passage>,
    /// What lies between them and the body.
    between: Vec<Passage>,
    /// By length: what older tokens are taken from. Of the training length the whole windows but for start tokens, then bodies.
    pools: Vec<Vec<Passage>>,
    /// By length: losses of the compared tokens, in nats, of all windows one behind the other.
    losses: Vec<Vec<f32>>,
    watches: Vec<Watch>,
}

impl<'a> Composer<'a> {
    /// Reads every window as it is.
    fn read(
        decoder: &'a Arc<Decoder>,
        windows: &'a [Vec<u32>],
        ladder: Ladder,
        told: &dyn Fn(usize),
    ) -> Result<Self> {
        let config = decoder.config();
        let trained = windows.first().map_or(0, Vec::len);
        if windows.len() < 2
            || trained as u64 != config.trained_length
            || windows.iter().any(|window| window.len() != trained)
        {
            let reason = format!(
                "it needs at least two windows of {} tokens; got {} of {trained}",
                config.trained_length,
                windows.len()
            );
            return Err(Error::input("a prediction", reason));
        }
        let start = (START_TOKENS as usize).min(trained / 4);
        let body = (trained - start).min(LONGEST_BODY as usize);
        if trained < 4 || body < 2 {
            return Err(Error::input(
                "a prediction",
                format!("a training length of {trained} has no halves"),
            ));
        }
        let longest = ladder.lengths()[ladder.lengths().len() - 1];
        let distances = MeasurementPlan::new(config, longest).logit_distances;
        let mut composer = Self {
            decoder,
            windows,
            ladder,
            trained,
            start,
            body,
            starts: Vec::new(),
            between: Vec::new(),
            pools: vec![Vec::new()],
            losses: vec![Vec::new()],
            watches: vec![Watch::new(config, distances); windows.len()],
        };
        for (index, window) in windows.iter().enumerate() {
            let mut session = composer.session()?;
            let half = trained as u64 / 2;
            let mut positions = composer.queries(half..trained as u64);
            positions.extend(composer.queries(composer.looked_at(0)));
            positions.sort_unstable();
            positions.dedup();
            composer.watches[index].look_at(positions, trained as u64, index == 0);
            let losses = session.score(window, Some(&mut composer.watches[index]))?.nll;
            // The loss of token i is at i − 1.
            let compared = &losses[composer.compared() - 1..];
            composer.losses[0].extend_from_slice(compared);
            let at = |begin: usize, end: usize| session.passage(begin as u64..end as u64);
            composer.starts.push(at(0, start)?);
            composer.between.push(at(start, trained - body)?);
            composer.pools[0].push(at(start, trained)?);
            told(index + 1);
        }
        Ok(composer)
    }

    /// Without tokens. Layers with a shorter window of their own hold all that passages are taken of.
    fn session(&self) -> Result<Session> {
        Ok(Session::holding(self.decoder.clone(), AttentionPolicy::default(), self.trained as u64)?)
    }

    /// The first token of a window that is compared: of its second half, those that are read at every length and have a loss.
    fn compared(&self) -> usize {
        (self.trained - self.body + 1).max(self.trained / 2)
    }

    /// Tokens of a context of the length of `step`: behind the training length half of the compared tokens more than the length, so
    /// that they lie around it.
    fn end(&self, step: usize) -> u64 {
        let behind = if step > 0 { (self.trained - self.compared()) / 2 } else { 0 };
        self.ladder.lengths()[step] + behind as u64
    }

    /// Where the queries stand that are looked at: around the length, or in front of the training length.
    fn looked_at(&self, step: usize) -> Range<u64> {
        let length = self.ladder.lengths()[step];
        let part = (self.trained as u64 / LATE).max(1);
        if step == 0 { length - part..length } else { length - part / 2..length + part.div_ceil(2) }
    }

    /// Positions of the queries that are looked at, evenly over `range`.
    fn queries(&self, range: Range<u64>) -> Vec<u64> {
        let count =
            (QUERIES / self.windows.len() as u64).clamp(QUERIES_OF_A_WINDOW[0], QUERIES_OF_A_WINDOW[1]);
        let part = range.end - range.start;
        let count = count.min(part);
        (1..=count).map(|index| range.start + index * part / count - 1).collect()
    }

    /// Reads the body of every window at the end of contexts of the length of `step`.
    fn climb(&mut self, step: usize, told: &dyn Fn(usize)) -> Result<()> {
        let end = self.end(step);
        let (mut pool, mut losses) = (Vec::new(), Vec::new());
        for (index, window) in self.windows.iter().enumerate() {
            let mut session = self.context(index, step)?;
            let positions = self.queries(self.looked_at(step));
            // Another window at each length.
            let logits = index == step % self.windows.len();
            self.watches[index].look_at(positions, self.trained as u64, logits);
            let body = &window[self.trained - self.body..];
            let scored = session.score(body, Some(&mut self.watches[index]))?.nll;
            let skipped = self.compared() - (self.trained - self.body + 1);
            losses.extend_from_slice(&scored[skipped..]);
            pool.push(session.passage(end - self.body as u64..end)?);
            told(index);
        }
        self.pools.push(pool);
        self.losses.push(losses);
        Ok(())
    }

    /// All that stands before the body of a window in a context of the length of `step`.
    fn context(&self, window: usize, step: usize) -> Result<Session> {
        let mut session = self.session()?;
        session.append(&self.starts[window], 0..self.start)?;
        let end = self.end(step) - (self.trained - self.start) as u64;
        let body = self.body as u64;
        // Others take turns, each time another first.
        let others = self.windows.len() - 1;
        let mut turn = step;
        while session.position() < end {
            let at = session.position();
            // Bodies end behind their lengths. The first piece is that of whole windows.
            let length = if at < self.trained as u64 {
                at
            } else {
                at + body - (self.end(1) - self.ladder.lengths()[1])
            };
            let pool = &self.pools[self.ladder.nearest(length, step)];
            let source = &pool[(window + 1 + turn % others) % self.windows.len()];
            let rows = source.len().min((end - at) as usize);
            session.append(source, 0..rows)?;
            turn += 1;
        }
        session.append(&self.between[window], 0..self.between[window].len())?;
        Ok(session)
    }

    fn observed(self, margin: f64) -> Observed {
        let looked_at = (0..self.ladder.lengths().len()).map(|step| self.looked_at(step)).collect();
        Observed {
            config: self.decoder.config().clone(),
            lengths: self.ladder.lengths().to_vec(),
            windows: self.windows.len(),
            body: self.body,
            margin,
            losses: self.losses,
            looked_at,
            watches: self.watches,
        }
    }
}
