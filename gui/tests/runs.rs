//! The column of runs, and the inspector.

use eframe::egui::Key;
use eframe::egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{Shown, after_run, click, finished, layout, says, type_into, wait_for};

fn tokens(window: &Shown) -> Option<u64> {
    window.state().diagnosis().map(|diagnosis| diagnosis.tokens)
}

#[test]
fn an_earlier_run_is_kept_shown_again_and_removed() {
    let mut window = after_run(&["--tokens", "600"]);
    assert!(!says(&window, "Earlier runs"));
    type_into(&mut window, "Tokens, typed", "700");
    window.key_press(Key::Enter);
    window.run_steps(3);
    click(&mut window, "Run");
    wait_for(&mut window, "a second run", |window| finished(window) && tokens(window) == Some(700));
    let first = "Run 1 of tiny-rope, 600 tokens, vanilla, lm-infinite:start=10,window=256";
    click(&mut window, first);
    assert_eq!(tokens(&window), Some(600));
    assert!(
        says(&window, "Run 1: tiny-rope") && !says(&window, "Of earlier settings"),
        "the run bar says what it was"
    );
    let second = first.replace("Run 1", "Run 2").replace("600", "700");
    window.get_by_label(&second);
    click(&mut window, &format!("Remove {second}"));
    assert!(!says(&window, "Earlier runs") && tokens(&window) == Some(600));
}

#[test]
fn a_policy_that_is_not_ticked_is_not_drawn() {
    let mut window = after_run(&["--tokens", "600", "--tab", "map"]);
    window.get_by_label("Attention map of B");
    click(&mut window, "Draw B");
    assert!(window.query_by_label("Attention map of B").is_none());
    window.get_by_label("Attention map of A");
    assert!(!says(&window, "B lm-infinite:start=10,window=256 (dashed)"));
    click(&mut window, "Draw B");
    window.get_by_label("Attention map of B");
    assert!(says(&window, "B lm-infinite:start=10,window=256 (dashed)"));
}

#[test]
fn the_inspector_tells_losses_and_what_a_token_looks_at() {
    let mut window = after_run(&["--tokens", "600"]);
    type_into(&mut window, "Cursor", "590");
    window.key_press(Key::Enter);
    window.run_steps(3);
    let diagnosis = window.state().diagnosis().expect("a result").clone();
    for run in &diagnosis.runs {
        assert!(says(&window, &format!("{:.3} nats", run.arrays.nll[589])), "the loss under {}", run.policy);
    }
    window.get_by_label("Token 590");
    window.get_by_label("Under A token 590 looks at");
    wait_for(&mut window, "eight keys of each", |window| {
        window.query_all_by_label_contains("  “").count() == 16
    });
    // Under B no key is attended between the start tokens and the window.
    let of = |node: egui_kittest::Node<'_>| {
        let words = node.accesskit_node().label()?;
        let mut parts = words.split_whitespace();
        Some((parts.next()?.parse::<f32>().ok()?, parts.next()?.replace(',', "").parse::<u64>().ok()?))
    };
    let keys: Vec<_> = window.query_all_by_label_contains("  “").filter_map(of).collect();
    assert_eq!(keys.len(), 16);
    for side in keys.chunks(8) {
        assert!(
            side.windows(2).all(|pair| pair[0].0 >= pair[1].0)
                && side.iter().map(|key| key.0).sum::<f32>() <= 1.004
        );
    }
    assert!(keys[8..].iter().all(|&(_, key)| !(10..=590 - 257).contains(&key)), "{keys:?}");
}

fn policies(window: &Shown) -> Vec<String> {
    window
        .state()
        .diagnosis()
        .map_or_else(Vec::new, |diagnosis| diagnosis.runs.iter().map(|run| run.policy.clone()).collect())
}

/// Presses an entry of a menu.
fn choose(window: &mut Shown, menu: &str, entry: &str) {
    click(window, menu);
    click(window, entry);
    window.run_steps(3);
}

#[test]
fn policies_are_added_duplicated_and_removed() {
    let mut window = after_run(&["--tokens", "600"]);
    choose(&mut window, "+ Policy", "rerope");
    assert!(says(&window, "C  rerope") && says(&window, "not read yet: Run (Ctrl+R)"));
    assert!(window.query_by_label("Draw C").is_none(), "nothing to draw yet");
    // There is no room for the details of three: those of the new one are open.
    assert!(window.query_by_label("Policy B, as written").is_none());
    window.get_by_label("Policy C, as written");
    click(&mut window, "Details of B");
    choose(&mut window, "Duplicate B", "window 128");
    click(&mut window, "Run");
    wait_for(&mut window, "four policies", |window| finished(window) && policies(window).len() == 4);
    let read = policies(&window);
    assert_eq!(
        (read[2].as_str(), read[3].as_str()),
        ("rerope:window=128", "lm-infinite:start=10,window=128")
    );
    let fourth = window.state().diagnosis().and_then(|diagnosis| diagnosis.runs[3].nll).expect("a loss");
    assert!(says(&window, &format!("{fourth:.3} nats, ")), "every row has its number and its verdict");
    click(&mut window, "Details of A");
    click(&mut window, "Remove A");
    window.get_by_label("A  lm-infinite");
    assert!(says(&window, "not read yet"), "what was read is of other letters");
    click(&mut window, "Run");
    wait_for(&mut window, "three policies", |window| finished(window) && policies(window).len() == 3);
    assert_eq!(policies(&window), read[1..]);
}

#[test]
fn differences_are_of_the_chosen_pair() {
    let mut window = after_run(&[
        "--tokens",
        "1k",
        "--policy",
        "vanilla",
        "--policy",
        "window",
        "--policy",
        "lm-infinite",
    ]);
    layout(&mut window, "Heads");
    window.get_by_label("A \u{2212} B");
    choose(&mut window, "Second of the difference", "Second: C");
    click(&mut window, "A \u{2212} C");
    window.key_press(Key::ArrowDown);
    window.run_steps(3);
    let diagnosis = window.state().diagnosis().expect("a result").clone();
    window.get_by_role_and_label(Role::ComboBox, "Heads").click();
    window.run_steps(3);
    window.get_by_role_and_label(Role::Button, "max entropy (nats)").click();
    window.run_steps(3);
    let entropy = |run: usize| {
        let growth = diagnosis.runs[run].heads[0].entropy.expect("measured");
        growth.outside.unwrap_or(growth.inside).max(growth.inside)
    };
    let words = format!("{:.2}", entropy(0) - entropy(2)).replace('-', "\u{2212}");
    window.get_by_label(&format!("max entropy (nats), A \u{2212} C: {words}"));
    // Taking the first for the second, the two change places.
    choose(&mut window, "First of the difference", "First: C");
    window.get_by_label("C \u{2212} A");
    layout(&mut window, "Text");
    window.get_by_label("Loss C \u{2212} A");
    window.get_by_label("Attention A");
}

#[test]
fn more_policies_than_there_is_room_for_are_folded() {
    let mut window =
        after_run(&["--tokens", "300", "--policy", "vanilla", "--policy", "window", "--policy", "lambda"]);
    assert!(window.query_by_label("loss beyond").is_none());
    click(&mut window, "Details of C");
    window.get_by_label("loss beyond");
    window.get_by_label("Policy C, as written");
}

/// What a shell makes of a command line.
fn words(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\n' {line}");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn a_run_is_copied_as_the_command_that_gives_the_same_numbers() {
    use clap::FromArgMatches;
    use lm_infinite::cli::args::{Cli, Command, command};
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("it's a text.txt");
    std::fs::write(&text, "One two three four five six seven. ".repeat(60)).expect("writes");
    let text = text.display().to_string();
    let arguments = [
        "--tokens",
        "700",
        "--repeat",
        "--text",
        &text,
        "--policy",
        "vanilla",
        "--policy",
        "lambda+temperature",
    ];
    let window = after_run(&arguments);
    let line = window.state().command_line().expect("a command");
    let mut words = words(&line);
    let matches = command().try_get_matches_from(&words).expect("it is parsed");
    let Command::Diagnose(args) = Cli::from_arg_matches(&matches).expect("it is parsed").command else {
        panic!("{line}")
    };
    assert_eq!((args.text.texts, args.tokens, args.repeat.repeat), (vec![text.into()], Some(700), true));
    assert_eq!(args.policies, policies(&window));
    let out = folder.path().join("out");
    words.extend(["--causes=none".to_owned(), "--out".to_owned(), out.display().to_string()]);
    let code = lm_infinite::cli::run(words.iter().map(Into::into));
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
    let (_, read) = lm_infinite::results::read(&out).expect("a result");
    let shown = window.state().diagnosis().expect("a result");
    for (read, shown) in read.runs.iter().zip(&shown.runs) {
        assert_eq!(read.arrays.nll.len(), 699);
        assert!(read.arrays.nll.iter().zip(&shown.arrays.nll).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn a_command_is_put_on_the_clipboard_and_told() {
    let mut window = after_run(&["--tokens", "600"]);
    click(&mut window, "Copy as command");
    assert!(says(&window, "On the clipboard: lm-infinite diagnose --model tiny-rope --policy vanilla"));
    click(&mut window, "Details of A");
    assert!(!says(&window, "On the clipboard"), "until the next thing is done");
}
