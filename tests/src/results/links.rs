//! Results that go through links, pipes and devices.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::desk::{Desk, done, refused};

#[test]
fn losses_per_token_go_through_links_and_pipes() {
    let desk = Desk::new();
    let losses = |to: &str| {
        let more = ["--text", "text.txt", "--tokens", "100", "--policy", "vanilla", "--per-token", to];
        desk.command("perplexity", &more)
    };
    let run = |to: &str| losses(to).output().expect("the program starts");
    let kind = |name: &str| fs::symlink_metadata(desk.path(name)).expect("there").file_type();
    done(&run("plain.npy"));
    let plain = fs::read(desk.path("plain.npy")).expect("written");
    assert!(plain.starts_with(b"\x93NUMPY"));

    fs::create_dir(desk.path("disk")).expect("made");
    symlink("disk/real.npy", desk.path("link.npy")).expect("a link");
    for _ in 0..2 {
        done(&run("link.npy"));
        assert!(kind("link.npy").is_symlink());
        assert_eq!(fs::read(desk.path("disk/real.npy")).expect("written"), plain);
    }

    let made = Command::new("mkfifo").arg(desk.path("pipe")).status();
    assert!(made.expect("mkfifo").success());
    let mut child = losses("pipe").stdout(Stdio::null()).spawn().expect("the program starts");
    assert_eq!(fs::read(desk.path("pipe")).expect("a pipe"), plain);
    assert!(child.wait().expect("it ends").success() && kind("pipe").is_fifo());

    done(&run("/dev/null"));
    assert!(fs::metadata("/dev/null").expect("there").file_type().is_char_device());
    let output = run("/dev/stdout");
    done(&output);
    assert!(output.stdout.starts_with(&plain) && output.stdout.len() > plain.len(), "then the words");
    // Redirected to a file, which keeps what is written to it before and after.
    let file = fs::File::create(desk.path("both")).expect("made");
    assert!(losses("/dev/stdout").stdout(file).status().expect("it starts").success());
    let both = fs::read(desk.path("both")).expect("written");
    assert!(both.starts_with(&plain) && both.len() > plain.len());

    refused(&run("disk"), &["disk", "a folder"]);
    refused(&run("nowhere/x.npy"), &["nowhere"]);
    let made = Command::new("mknod").arg(desk.path("block")).args(["b", "7", "250"]).output();
    if made.expect("mknod").status.success() {
        refused(&run("block"), &["block device"]);
        assert!(kind("block").is_block_device());
    }
}

#[test]
fn a_result_goes_where_a_link_points() {
    let desk = Desk::new();
    fs::create_dir(desk.path("disk")).expect("made");
    symlink("disk", desk.path("out")).expect("a link");
    symlink("later", desk.path("dangling")).expect("a link");
    for (link, real) in [("out", "disk"), ("dangling", "later")] {
        for tokens in ["200", "210"] {
            done(&desk.diagnose(tokens, link).output().expect("it starts"));
            assert!(fs::symlink_metadata(desk.path(link)).expect("there").file_type().is_symlink());
            let run: Value = serde_json::from_str(&desk.read(&format!("{real}/run.json"))).expect("JSON");
            assert_eq!(run["tokens"].to_string(), tokens);
        }
    }
    let more = ["--text", "text.txt", "--tokens", "200", "--policy", "lm-infinite:start=1,window=8"];
    symlink("long", desk.path("to-long")).expect("a link");
    done(&desk.run("perplexity", &[&more[..], &["--out", "to-long"]].concat()));
    assert!(desk.path("long/perplexity.json").is_file() && !desk.path("long/state.json").exists());
    refused(&desk.diagnose("200", "text.txt").output().expect("it starts"), &["no folder"]);
    refused(&desk.diagnose("200", "/dev/null").output().expect("it starts"), &["no folder"]);
}
