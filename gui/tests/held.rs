//! How keys and values are held.

use std::path::Path;

use crate::common::after_run;

/// As the command line reads it.
#[test]
fn keys_and_values_of_a_checkpoint_of_16_bits_are_held_so() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/tiny_llama");
    for (checkpoint, held) in [("tied", false), ("bf16", true), ("f16", true)] {
        let path = goldens.join(checkpoint).display().to_string();
        let window = after_run(&["--model", &path, "--run", "--tokens", "40"]);
        let notes = &window.state().diagnosis().expect("a result").notes;
        let said = |note: &lm_infinite::note::Note| note.said.contains("held as f16");
        assert_eq!(notes.iter().any(said), held, "{checkpoint}: {notes:?}");
    }
}
