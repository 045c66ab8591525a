//! The small window that asks for a model, a text or a result folder: typed, pasted, or chosen among files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{Align2, Context, Key, Modifiers, TextEdit, Ui, Window};
use egui_file::{FileDialog, State};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A `.gguf` file or a Hugging Face folder.
    Model,
    /// A text file, or a folder of them.
    Text,
    /// The text itself.
    Paste,
    /// A folder that `diagnose` wrote.
    Results,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Name or path.
    Model(String),
    /// Path.
    Text(String),
    /// The text itself.
    Pasted(Arc<str>),
    /// Path.
    Results(PathBuf),
}

/// The small window, and the list of files over it.
#[derive(Default)]
pub struct Ask {
    open: Option<Question>,
    /// The list.
    files: Option<FileDialog>,
}

/// One small window.
struct Question {
    asked: Asked,
    typed: String,
    /// Not drawn yet: letters go to its field.
    fresh: bool,
}

impl Asked {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Model => ("Open a model", "Path of the model"),
            Self::Text => ("Open a text", "Path of the text"),
            Self::Paste => ("Paste a text", "Pasted text"),
            Self::Results => ("Open results", "Path of the result folder"),
        }
    }

    fn effect(self) -> &'static str {
        match self {
            Self::Model | Self::Text | Self::Paste => "Reads it at the next run",
            Self::Results => "Shows it at once, instead of the run",
        }
    }

    /// A path of the list.
    fn chosen(self, path: PathBuf) -> Option<Answer> {
        match self {
            Self::Results => Some(Answer::Results(path)),
            // Names of models and texts are words.
            Self::Model | Self::Text | Self::Paste => self.answer(path.to_str()?),
        }
    }

    fn answer(self, typed: &str) -> Option<Answer> {
        let path = typed.trim();
        if path.is_empty() {
            return None;
        }
        Some(match self {
            Self::Model => Answer::Model(path.to_owned()),
            Self::Text => Answer::Text(path.to_owned()),
            Self::Paste => Answer::Pasted(typed.into()),
            Self::Results => Answer::Results(path.into()),
        })
    }
}

impl Ask {
    /// Opens the window with what was said before.
    pub fn open(&mut self, asked: Asked, before: &str) {
        self.open = Some(Question { asked, typed: before.to_owned(), fresh: true });
        self.files = None;
    }

    /// Escape closes what lies on top.
    pub fn keys(&mut self, ctx: &Context) {
        if self.open.is_some() && ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape)) {
            // Without files over it, the window itself.
            if self.files.take().is_none() {
                self.open = None;
            }
        }
    }

    /// Draws it while it is open; an answer closes it.
    pub fn show(&mut self, ctx: &Context) -> Option<Answer> {
        let Question { asked, typed, fresh } = self.open.as_mut()?;
        let asked = *asked;
        let (title, name) = asked.words();
        let (mut taken, mut closed) = (false, false);
        let middle = ctx.content_rect().center();
        let window = Window::new(title).collapsible(false).pivot(Align2::CENTER_CENTER).default_pos(middle);
        window.show(ctx, |ui| {
            let edit = match asked {
                Asked::Paste => TextEdit::multiline(typed).desired_rows(8),
                _ => TextEdit::singleline(typed),
            };
            let label = ui.label(name);
            let field = ui.add(edit.desired_width(420.0)).labelled_by(label.id).on_hover_text(name);
            if std::mem::take(fresh) {
                field.request_focus();
            }
            let enter = ui.input(|input| input.key_pressed(Key::Enter));
            taken = field.lost_focus() && enter && asked != Asked::Paste;
            ui.horizontal(|ui| {
                if let Some(files) = files(ui, asked, typed) {
                    self.files = Some(files);
                }
                taken |= ui.button("Use it").on_hover_text(asked.effect()).clicked();
                closed = ui.button("Cancel").on_hover_text("Leaves everything as it is").clicked();
            });
        });
        let mut answer = if taken { asked.answer(typed) } else { None };
        if let Some(files) = &mut self.files {
            match files.show(ctx).state() {
                State::Selected => {
                    let path = files.path().unwrap_or(files.directory()).to_owned();
                    // What is typed into the list counts as chosen there, whether or not it exists.
                    if path.exists() {
                        answer = asked.chosen(path);
                    }
                    self.files = None;
                }
                State::Open => {}
                State::Closed | State::Cancelled => self.files = None,
            }
        }
        if closed {
            answer = None;
        }
        if taken || closed || answer.is_some() {
            (self.open, self.files) = (None, None);
        }
        answer
    }
}

/// The buttons that list files, beginning where the typed path is.
fn files(ui: &mut Ui, asked: Asked, typed: &str) -> Option<FileDialog> {
    let here = Path::new(typed.trim()).ancestors().find(|path| path.is_dir());
    // An absolute path, so that the list can leave it upwards.
    let here = here.and_then(|path| std::path::absolute(path).ok()).or_else(|| std::env::current_dir().ok());
    let here = here.unwrap_or_default();
    let begun = |files: FileDialog| {
        // Nothing is made, renamed or written here.
        let files = files.initial_path(here.clone()).show_rename(false).show_new_folder(false);
        let mut files = files.anchor(Align2::CENTER_CENTER, [0.0, 0.0]);
        files.open();
        Some(files)
    };
    let mut listed = None;
    if matches!(asked, Asked::Model | Asked::Text)
        && ui.button("File…").on_hover_text("Choose a file in a list").clicked()
    {
        let models = asked == Asked::Model;
        let shown = move |path: &Path| {
            !models || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
        };
        let title = if models { "Open a .gguf file" } else { "Open a text file" };
        listed = begun(FileDialog::open_file().title(title).show_files_filter(Box::new(shown)));
    }
    let folder = match asked {
        Asked::Model => "A folder with config.json and .safetensors files",
        Asked::Text => "A folder of text files",
        Asked::Results => "A folder that diagnose wrote",
        Asked::Paste => return listed,
    };
    if ui.button("Folder…").on_hover_text(folder).clicked() {
        listed = begun(
            FileDialog::select_folder()
                .title(folder)
                .open_button_text("Use this folder".into())
                .file_label_text("Folder:".into()),
        );
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_paths_without_blanks_and_texts_as_they_are() {
        assert_eq!(Asked::Model.answer(" a.gguf "), Some(Answer::Model("a.gguf".into())));
        assert_eq!(Asked::Paste.answer(" x\n"), Some(Answer::Pasted(" x\n".into())));
        assert_eq!(Asked::Results.chosen("a ".into()), Some(Answer::Results("a ".into())));
        assert_eq!((Asked::Text.answer(" "), Asked::Paste.answer("\n")), (None, None));
    }
}
