//! What the fuzzing harness promises: its files are valid, and what it once found stays mended. The harness itself runs
//! for a minute in `.ci/run`.

use std::path::Path;

use crate::fuzz;

#[test]
fn every_file_that_is_broken_is_valid_before() {
    let folder = tempfile::tempdir().expect("a folder");
    for target in &mut fuzz::all(folder.path()).expect("targets") {
        for (index, file) in target.files.clone().iter().enumerate() {
            match (target.check)(file) {
                fuzz::Outcome::Accepted(_) => {}
                fuzz::Outcome::Refused(reason) => panic!("{}, file {index}: {reason}", target.name),
            }
        }
    }
}

#[test]
fn some_broken_files_of_every_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    for target in &mut fuzz::all(folder.path()).expect("targets") {
        let mut accepted = 0;
        for case in 0..200 {
            let found = target.run(1, case).unwrap_or_else(|finding| panic!("{finding:?}"));
            accepted += usize::from(found);
        }
        assert!(accepted < 200, "{}: nothing was refused", target.name);
    }
}

#[test]
fn what_was_found_stays_mended() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folder = tempfile::tempdir().expect("a folder");
    for target in &mut fuzz::all(folder.path()).expect("targets") {
        let Ok(found) = std::fs::read_dir(corpus.join(target.name)) else { continue };
        for entry in found {
            let path = entry.expect("read").path();
            let input = std::fs::read(&path).expect("read");
            if let Err(reason) = target.judge(&input) {
                panic!("{}: {reason}", path.display());
            }
        }
    }
}

#[test]
fn broken_promises_are_found_and_made_small() {
    use fuzz::{Outcome, Target};

    let target = |check: fn(&[u8]) -> Outcome| Target {
        name: "broken",
        files: vec![b"a valid file of some length".to_vec()],
        check: Box::new(check),
        allowance: [1 << 10, 4],
    };
    let finding = |check: fn(&[u8]) -> Outcome| {
        let mut target = target(check);
        (0..5000).find_map(|case| target.run(0, case).err()).expect("it is found")
    };
    let panics = finding(|input| {
        assert!(!input.contains(&0xff), "a byte that nobody wants");
        Outcome::Refused(String::new())
    });
    assert!(panics.reason.contains("nobody wants"), "{}", panics.reason);
    assert!(panics.input.len() < 64, "{:?}", panics.input);
    let changes = finding(|input| {
        use std::sync::atomic::{AtomicU32, Ordering};
        static TIMES: AtomicU32 = AtomicU32::new(0);
        let odd = input.first() != Some(&b'a');
        Outcome::Accepted(if odd { TIMES.fetch_add(1, Ordering::Relaxed) } else { 0 }.to_string())
    });
    assert!(changes.reason.starts_with("two answers"), "{}", changes.reason);
    // The allocator of these tests counts, as that of the harness.
    let greedy = finding(|input| {
        let length = input.get(2).map_or(0, |&byte| usize::from(byte) << 12);
        Outcome::Accepted(
            std::hint::black_box(vec![1_u8; if length > 0x90000 { length } else { 0 }]).len().to_string(),
        )
    });
    assert!(greedy.reason.starts_with("memory"), "{}", greedy.reason);
}
