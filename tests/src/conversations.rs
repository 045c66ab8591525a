//! `generate` with a conversation.

use serde_json::Value;

use crate::fixtures::{TinyConfig, TinyLlama};
use crate::support::{load, program};

#[test]
fn conversations_go_through_the_template() {
    let folder = tempfile::tempdir().expect("a folder");
    let tiny = TinyLlama::random(TinyConfig::default(), 0);
    tiny.write_folder(folder.path(), "F32");
    let template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[a]";
    std::fs::write(folder.path().join("chat_template.jinja"), template).expect("written");
    let file = folder.path().join("chat.json");
    let said = r#"[{"role": "user", "content": "the"}, {"role": "assistant", "content": "on"}]"#;
    std::fs::write(&file, said).expect("written");
    let (model, file) = (folder.path().to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    let run = |arguments: &[&str]| {
        let common = ["generate", "--model", model, "--tokens", "1", "--policy", "vanilla", "--json"];
        let output = program().args(common).args(arguments).output().expect("the program starts");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), json, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let tokenizer = load(folder.path()).tokenizer;
    for (arguments, prompt) in [
        (&["--chat", "--prompt", "the"][..], "[user]the[a]"),
        (&["--system", "é", "--prompt", "the"], "[system]é[user]the[a]"),
        (&["--messages", file], "[user]the[assistant]on[a]"),
        (&["--messages", file, "--system", "é"], "[system]é[user]the[assistant]on[a]"),
    ] {
        let (code, json, words) = run(arguments);
        assert_eq!(code, Some(0), "{words} {json}");
        let tokens = tokenizer.encode_without_bos(prompt).expect("encoded").len();
        assert_eq!(json["prompt_tokens"], tokens, "{arguments:?}");
    }
    for arguments in [&["--messages", file, "--prompt", "a"][..], &["--messages", file, "--text", file]] {
        assert_eq!(run(arguments).0, Some(2), "{arguments:?}");
    }
    std::fs::write(file, r#"[{"role": "system", "content": "x"}]"#).expect("written");
    let (code, json, words) = run(&["--messages", file, "--system", "é"]);
    assert!(
        code == Some(1) && format!("{json}{words}").contains("has a system message already"),
        "{json}{words}"
    );
    std::fs::write(file, r#"[{"role": "system"}]"#).expect("written");
    let (code, json, words) = run(&["--messages", file]);
    assert!(code == Some(1) && format!("{json}{words}").contains("messages[0].content"), "{json}{words}");
}
