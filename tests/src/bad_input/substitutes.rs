//! What stands in the place of a file that was not fetched, and what editors put before one.

use std::fs;

use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;

use super::{refused, refused_folder, tiny};

#[test]
fn a_web_page_in_the_place_of_a_file_is_called_by_its_name() {
    for page in ["<!DOCTYPE html><html><body>404</body></html>", "\r\n <HTML lang=\"en\">"] {
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            let place = |folder: &std::path::Path| fs::write(folder.join(file), page).expect("written");
            refused_folder(place, &[file, "a web page, not the file"]);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        fs::write(&path, page).expect("written");
        refused(&path, &["model.gguf", "a web page, not the file"]);
    }
}

/// Windows' editors begin UTF-8 files with a byte order mark.
#[test]
fn a_byte_order_mark_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    tiny().write_folder(folder.path(), "F32");
    let load = || {
        let reference = folder.path().to_str().expect("UTF-8");
        let model = checkpoint::load(reference, &Cache::at("no-cache")).expect("loads");
        (model.config.clone(), model.tokenizer.encode("the sea").expect("encodes"))
    };
    let plain = load();
    for file in ["config.json", "tokenizer.json"] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).expect("there");
        fs::write(&path, format!("\u{feff}{text}")).expect("written");
        assert_eq!(load(), plain, "{file}");
    }
}
