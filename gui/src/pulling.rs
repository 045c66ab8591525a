//! Downloads a model, as `models pull` does, on a thread of its own.

use std::path::PathBuf;

use lm_infinite::hub::{self, Cache, Progress};

use crate::task::{Task, Wake, Worker};

/// Messages that wait for the window; then the thread waits.
const WAITING: usize = 16;

/// What is known of a download.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// What it said last.
    pub said: String,
    /// Where the model is, once it is there.
    pub path: Option<PathBuf>,
}

/// What the thread sends.
enum Message {
    Said(String),
    Done(PathBuf),
}

/// The newest download.
pub struct Pulling(Task<String, Pulled, Message>);

impl Default for Pulling {
    fn default() -> Self {
        Self(Task::gathering("download", WAITING, |pulled: Option<Pulled>, message| {
            let pulled = pulled.unwrap_or_default();
            match message {
                Message::Said(said) => Pulled { said, ..pulled },
                Message::Done(path) => Pulled { path: Some(path), ..pulled },
            }
        }))
    }
}

impl Pulling {
    /// Begins to download a model: one that is known by its name, or `hf:org/name`.
    pub fn start(&mut self, name: String, wake: Wake) {
        self.start_with(name, wake, |name, cache| Ok(hub::pull(name, &cache?)?));
    }

    fn start_with<P>(&mut self, name: String, wake: Wake, pull: P)
    where
        P: FnOnce(&str, anyhow::Result<Cache>) -> anyhow::Result<PathBuf> + Send + 'static,
    {
        self.0.ask(name, wake, move |name, worker| {
            worker.report(|progress| progress.phase = "asking");
            let listener = worker.clone();
            let asked = worker.clone();
            let cache = Cache::open().map_err(anyhow::Error::from);
            let cache = cache.map(|cache| {
                let cache = cache.with_progress(move |progress| tell(&listener, progress));
                cache.with_cancel(move || asked.is_cancelled())
            });
            let path = pull(&name, cache)?;
            worker.send(Message::Done(path));
            Ok(())
        });
    }

    /// Ends it. What has come of Hugging Face is kept, and the next download goes on from there.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Takes what has come; true if there is something new.
    pub fn poll(&mut self) -> bool {
        self.0.poll()
    }

    /// Takes a model that is there now: its name and its place.
    pub fn take(&mut self) -> Option<(String, PathBuf)> {
        self.0.answer()?.1.path.as_ref()?;
        let (name, pulled) = self.0.take()?;
        Some((name, pulled.path?))
    }

    /// The model that is being downloaded.
    pub fn name(&self) -> Option<&str> {
        self.0.is_running().then(|| self.0.request().map(String::as_str)).flatten()
    }

    /// Bytes that are here, and in the end, while a model is being downloaded; 0 where that is not known yet.
    pub fn bytes(&self) -> (u64, u64) {
        (self.0.progress().done, self.0.progress().total)
    }

    /// What it said last.
    pub fn said(&self) -> &str {
        self.0.answer().map_or("", |(_, pulled)| &pulled.said)
    }

    /// Why nothing came of it.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure()
    }

    /// Whether it was ended before its end.
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    /// What went wrong is said no more.
    pub fn forget(&mut self) {
        self.0.forget();
        self.0.keep_answer_if(|_| false);
    }
}

fn tell(worker: &Worker<Message>, progress: Progress<'_>) {
    match progress {
        Progress::Said(words) => drop(worker.send(Message::Said(words.to_owned()))),
        Progress::File { name, number, of, bytes } => {
            worker.report(|progress| (progress.done, progress.total) = (0, bytes));
            let words = if of > 1 { format!("{name}, file {number} of {of}") } else { name.to_owned() };
            worker.send(Message::Said(words));
        }
        Progress::Bytes { done, total } => {
            worker.report(|progress| (progress.done, progress.total) = (done, total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn wait(pulling: &mut Pulling, reached: impl Fn(&Pulling) -> bool) {
        let start = Instant::now();
        while !reached(pulling) {
            assert!(start.elapsed() < Duration::from_secs(20), "it comes");
            pulling.poll();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_model_that_is_there_is_taken_once_with_its_name() {
        let mut pulling = Pulling::default();
        pulling
            .start_with("a".into(), Arc::new(|| ()), |name, _| Ok(PathBuf::from(format!("/models/{name}"))));
        assert_eq!(pulling.name(), Some("a"));
        wait(&mut pulling, |pulling| pulling.name().is_none());
        assert_eq!(pulling.take(), Some(("a".into(), "/models/a".into())));
        assert_eq!((pulling.take(), pulling.failure(), pulling.is_stopped()), (None, None, false));
    }

    #[test]
    fn how_far_it_is_is_told_and_it_can_be_ended() {
        let seen = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let told = seen.clone();
        let mut pulling = Pulling::default();
        pulling.0.ask("hf:a/b".into(), Arc::new(|| ()), move |_, worker| {
            tell(worker, Progress::File { name: "model.safetensors", number: 2, of: 3, bytes: 100 });
            tell(worker, Progress::Bytes { done: 40, total: 100 });
            while !worker.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            told.store(true, std::sync::atomic::Ordering::Relaxed);
            anyhow::bail!("cancelled")
        });
        wait(&mut pulling, |pulling| pulling.bytes() == (40, 100));
        assert_eq!((pulling.said(), pulling.name()), ("model.safetensors, file 2 of 3", Some("hf:a/b")));
        pulling.stop();
        wait(&mut pulling, |pulling| pulling.failure().is_some());
        assert!(seen.load(std::sync::atomic::Ordering::Relaxed) && pulling.is_stopped());
        assert_eq!((pulling.take(), pulling.name()), (None, None));
    }

    #[test]
    fn a_name_that_nobody_knows_is_answered_in_words() {
        let mut pulling = Pulling::default();
        pulling.start("no-such-model".into(), Arc::new(|| ()));
        wait(&mut pulling, |pulling| pulling.failure().is_some());
        assert!(pulling.failure().is_some_and(|words| words.contains("smollm2")), "{:?}", pulling.failure());
    }
}
