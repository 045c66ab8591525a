use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::*;

fn quiet() -> Wake {
    Arc::new(|| {})
}

fn wait(what: &str, reached: impl FnMut() -> bool) {
    let (start, mut reached) = (Instant::now(), reached);
    while !reached() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Polls until the end.
fn finish<Q: Clone, A, M>(task: &mut Task<Q, A, M>) {
    wait("the end", || {
        task.poll();
        task.link.is_none()
    });
}

/// Says when the closure that holds it is gone.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn progress_and_answers_arrive_and_every_one_asks_for_a_frame() {
    let woken = Arc::new(AtomicUsize::new(0));
    let wake = {
        let woken = woken.clone();
        Arc::new(move || {
            woken.fetch_add(1, Ordering::SeqCst);
        })
    };
    let mut task: Task<u32, Vec<u32>, u32> = Task::gathering("counting", 2, |all, next| {
        let mut all = all.unwrap_or_default();
        all.push(next);
        all
    });
    assert!(task.answer().is_none() && !task.is_running() && task.request().is_none());
    task.ask(5, wake, |count, worker| {
        assert_eq!(std::thread::current().name(), Some("counting"));
        for at in 0..count {
            worker.report(|progress| {
                *progress = Progress {
                    phase: "counting",
                    done: u64::from(at) + 1,
                    total: 5,
                    per_second: 1.0,
                    ..Progress::default()
                };
            });
            assert!(worker.send(at));
        }
        Ok(())
    });
    assert!(task.is_running());
    finish(&mut task);
    assert_eq!(task.answer(), Some((&5, &vec![0, 1, 2, 3, 4])));
    assert_eq!((task.progress().phase, task.progress().done, task.progress().share()), ("counting", 5, 1.0));
    assert!(!task.is_running() && !task.is_cancelled() && task.failure().is_none());
    assert!(woken.load(Ordering::SeqCst) > 10, "progress, answers and the end");
}

#[test]
fn a_panic_is_told_with_its_message_and_the_last_good_answer_stays() {
    let mut task: Task<u32, u32> = Task::newest("fragile");
    task.ask(1, quiet(), |request, worker| {
        worker.send(request * 10);
        Ok(())
    });
    finish(&mut task);
    for (request, expected) in [(2, "with a number: 2"), (3, "plain"), (4, "it left no message")] {
        task.ask(request, quiet(), |request, _| match request {
            2 => panic!("with a number: {request}"),
            3 => panic!("plain"),
            _ => std::panic::panic_any(request),
        });
        finish(&mut task);
        assert!(!task.is_running());
        let failure = task.failure().expect("it is told");
        assert_eq!(failure, format!("The worker `fragile` panicked: {expected}"));
        assert_eq!((task.answer(), task.request()), (Some((&1, &10)), Some(&request)));
    }
    // An answer that came before the panic is a good one.
    task.ask(5, quiet(), |request, worker| {
        worker.send(request * 10);
        panic!("late");
    });
    finish(&mut task);
    assert_eq!(task.answer(), Some((&5, &50)));
    assert!(task.failure().is_some_and(|failure| failure.ends_with("late")));
}

#[test]
fn a_panic_inside_a_report_does_not_hide_the_progress() {
    let mut task: Task<(), ()> = Task::newest("fragile");
    task.ask((), quiet(), |(), worker| {
        worker.report(|progress| {
            progress.done = 7;
            panic!("half done");
        });
        Ok(())
    });
    finish(&mut task);
    assert_eq!((task.progress().done, task.failure().is_some()), (7, true));
}

#[test]
fn an_error_is_told_with_its_causes() {
    let mut task: Task<(), ()> = Task::newest("failing");
    task.ask((), quiet(), |(), _| {
        use anyhow::Context as _;
        Err(anyhow::anyhow!("no such file")).context("weights.gguf")
    });
    finish(&mut task);
    assert_eq!(task.failure(), Some("weights.gguf: no such file"));
    task.ask((), quiet(), |(), _| Ok(()));
    assert_eq!(task.failure(), None, "it belongs to the request before");
}

#[test]
fn cancelled_work_is_over_at_once_and_what_it_still_sends_is_taken() {
    let mut task: Task<(), u32> = Task::newest("patient");
    task.ask((), quiet(), |(), worker| {
        while !worker.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!worker.send(9), "nobody wants more after this one");
        Ok(())
    });
    assert!(task.is_running());
    task.cancel();
    assert!(!task.is_running() && task.is_cancelled());
    finish(&mut task);
    assert_eq!((task.answer(), task.failure(), task.is_cancelled()), (Some((&(), &9)), None, true));
    task.ask((), quiet(), |(), _| Ok(()));
    assert!(!task.is_cancelled(), "that was the request before");
}

#[test]
fn a_stale_answer_is_never_taken() {
    let mut task: Task<u32, u32> = Task::newest("asked twice");
    let (sent, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (tell, guard) = (sent.clone(), Gone(gone.clone()));
    task.ask(1, quiet(), move |_, worker| {
        let _guard = guard;
        worker.send(100);
        tell.store(true, Ordering::SeqCst);
        while worker.send(101) {}
        Ok(())
    });
    wait("it lies in the channel", || sent.load(Ordering::SeqCst));
    task.ask(2, quiet(), |request, worker| {
        worker.send(request);
        Ok(())
    });
    wait("the work on the first request ends", || gone.load(Ordering::SeqCst));
    let mut seen = Vec::new();
    wait("the end", || {
        task.poll();
        seen.extend(task.answer().map(|(request, answer)| (*request, *answer)));
        task.link.is_none()
    });
    assert!(seen.iter().all(|&seen| seen == (2, 2)) && !seen.is_empty(), "{seen:?}");
}

#[test]
fn an_answer_is_gathered_anew_for_every_request_and_the_old_one_stays_until_then() {
    let mut task: Task<u32, Vec<u32>, u32> = Task::gathering("gathering", 4, |all, next| {
        let mut all = all.unwrap_or_default();
        all.push(next);
        all
    });
    for request in [1, 2] {
        let (go, wait_for_it) = sync_channel::<()>(1);
        task.ask(request, quiet(), move |request, worker| {
            wait_for_it.recv()?;
            assert!(worker.send(request) && worker.send(request));
            Ok(())
        });
        task.poll();
        let before = (request > 1).then_some((&1, &vec![1, 1])).is_some();
        assert_eq!(task.answer().is_some(), before, "the answer to the request before");
        go.send(()).expect("it waits");
        finish(&mut task);
        assert_eq!(task.answer(), Some((&request, &vec![request, request])));
    }
}

#[test]
fn dropping_ends_a_worker_that_waits_for_room_in_the_channel() {
    for forget in [false, true] {
        let gone = Arc::new(AtomicBool::new(false));
        let filled = Arc::new(AtomicUsize::new(0));
        let mut task: Task<(), u32> = Task::newest("blocked");
        let (guard, count) = (Gone(gone.clone()), filled.clone());
        task.ask((), quiet(), move |(), worker| {
            let _guard = guard;
            while worker.send(0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        wait("the channel is full", || filled.load(Ordering::SeqCst) == 1);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(filled.load(Ordering::SeqCst), 1, "it waits");
        if forget {
            task.forget()
        } else {
            drop(task)
        }
        wait("the thread ends", || gone.load(Ordering::SeqCst));
    }
}

#[test]
fn an_offer_never_waits() {
    let mut task: Task<(), u32> = Task::newest("offering");
    let (done, ended) = sync_channel::<bool>(1);
    task.ask((), quiet(), move |(), worker| {
        done.send((0..100).all(|at| worker.offer(at)))?;
        Ok(())
    });
    assert!(ended.recv().expect("it ends without being polled"));
    finish(&mut task);
    assert_eq!(task.answer(), Some((&(), &0)), "what had room");
}
