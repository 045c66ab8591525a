//! The script of `docs/python.md`, run as a reader would run it.

use std::path::Path;
use std::process::Command;

use crate::support::{or_skip, program};

/// The one block of Python in the document.
fn script() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/python.md");
    let text = std::fs::read_to_string(path).expect("docs/python.md");
    let (_, rest) = text.split_once("```python\n").expect("a script");
    rest.split_once("```").expect("its end").0.to_owned()
}

fn python(arguments: &[&str], folder: &Path) -> std::io::Result<std::process::Output> {
    Command::new("/usr/bin/python3").args(arguments).current_dir(folder).output()
}

#[test]
fn the_script_of_the_documentation_opens_a_result_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let needed = match python(&["-c", "import numpy, pandas"], folder) {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("needs Debian's packages `python3-numpy` and `python3-pandas`".to_owned()),
    };
    if or_skip(needed).is_none() {
        return;
    }
    let arguments = ["diagnose", "--tokens", "600", "--out", "result", "--json"];
    let output = program().args(arguments).current_dir(folder).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");

    std::fs::write(folder.join("script.py"), script()).expect("written");
    let output = python(&["script.py", "result"], folder).expect("Python starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for run in json["runs"].as_array().expect("runs") {
        let line = format!(
            "{}: {:.4} nats",
            run["policy"].as_str().expect("a name"),
            run["nll"].as_f64().expect("a loss")
        );
        assert!(printed.contains(&line), "{line}\n{printed}");
    }
    assert!(printed.contains("strongest_keys_from") && printed.contains("logit_excess_low"), "{printed}");
}
