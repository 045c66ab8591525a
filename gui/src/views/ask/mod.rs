//! The small window that asks for a model, a text or a result folder: typed, pasted, or chosen among files.

mod list;
pub mod question;

use std::path::Path;

use eframe::egui::{Align2, Context, Key, Modifiers, TextEdit, Ui, Window};

use self::list::List;
use self::question::{Answer, Asked, Change, Question};
use crate::files::{Found, Listing};
use crate::theme;

/// What is said of a path that no field can hold.
const NO_UTF_8: &str = "The name of this file or folder is not UTF-8, so the window cannot keep it.";

/// The small window, and the list of files over it.
#[derive(Default)]
pub struct Ask {
    question: Option<Question>,
    /// Not drawn yet: letters go to its field.
    fresh: bool,
    list: Option<List>,
    listing: Listing,
}

impl Ask {
    /// Opens the window.
    pub fn open(&mut self, question: Question) {
        (self.question, self.fresh, self.list) = (Some(question), true, None);
    }

    /// Takes what the reader does in it; an answer closes it.
    pub fn obey(&mut self, change: Change, ctx: &Context) -> Option<Answer> {
        let question = self.question.as_mut()?;
        let asked = question.asked;
        let mut answer = None;
        match (change, &mut self.list) {
            (Change::Typed(typed), _) => question.typed = typed,
            (Change::Focused, _) => self.fresh = false,
            (Change::Use, _) => {
                answer = asked.answer(&question.typed);
                self.question = None;
            }
            (Change::Close, _) => self.question = None,
            (Change::List { folders }, _) => {
                self.list = Some(List { folders, ..List::default() });
                let request = asked.listed(Path::new(question.typed.trim()), folders, true);
                self.listing = Listing::default();
                self.listing.start(request, theme::wake(ctx));
            }
            (Change::CloseList, list) => *list = None,
            (Change::GoTo(path), Some(list)) => {
                self.listing.start(asked.listed(&path, list.folders, false), theme::wake(ctx));
            }
            (Change::TypedFolder(typed), Some(list)) => list.typed = typed,
            (Change::Select(path), Some(list)) => (list.selected, list.refused) = (Some(path), None),
            (Change::Choose(path), Some(list)) => {
                answer = asked.chosen(path);
                list.refused = answer.is_none().then_some(NO_UTF_8);
            }
            (_, None) => {}
        }
        self.closed_by(answer)
    }

    /// Takes what the list of files has found; a file is an answer.
    pub fn update(&mut self) -> Option<Answer> {
        if !self.listing.poll() {
            return None;
        }
        let (question, list) = (self.question.as_ref()?, self.list.as_mut()?);
        let mut answer = None;
        match self.listing.found() {
            _ if self.listing.failure().is_some() => {}
            Some(Found::Folder(path, ..)) => {
                let folders = list.folders;
                *list = List { folders, typed: path.display().to_string(), ..List::default() };
            }
            Some(Found::File(path)) => {
                answer = question.asked.chosen(path.clone());
                list.refused = answer.is_none().then_some(NO_UTF_8);
            }
            None => {}
        }
        self.closed_by(answer)
    }

    /// What is typed for a run, as its answer, where a run is to begin: the small window closes.
    pub fn take(&mut self) -> Option<Answer> {
        let question = self.question.take_if(|question| question.asked.is_for_a_run())?;
        self.list = None;
        question.asked.answer(&question.typed)
    }

    fn closed_by(&mut self, answer: Option<Answer>) -> Option<Answer> {
        if answer.is_some() || self.question.is_none() {
            (self.question, self.list) = (None, None);
        }
        answer
    }

    /// Escape closes what lies on top.
    pub fn keys(&self, ctx: &Context) -> Option<Change> {
        let escape = || ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
        let top = if self.list.is_some() { Change::CloseList } else { Change::Close };
        (self.question.is_some() && escape()).then_some(top)
    }

    /// Draws it while it is open; returns what the reader does.
    pub fn show(&self, ctx: &Context) -> Vec<Change> {
        let Some(question) = &self.question else { return Vec::new() };
        let (title, _) = question.asked.words();
        let mut changes = Vec::new();
        let middle = ctx.content_rect().center();
        let window = Window::new(title).collapsible(false).pivot(Align2::CENTER_CENTER).default_pos(middle);
        window.show(ctx, |ui| self.question_ui(ui, question, &mut changes));
        if let Some(list) = &self.list {
            changes.extend(list::show(ctx, question.asked, list, &self.listing));
        }
        changes
    }

    fn question_ui(&self, ui: &mut Ui, question: &Question, changes: &mut Vec<Change>) {
        let Question { asked, typed } = question;
        let (_, name) = asked.words();
        let mut text = typed.clone();
        let edit = match asked {
            Asked::Paste => TextEdit::multiline(&mut text).desired_rows(8),
            _ => TextEdit::singleline(&mut text),
        };
        let label = ui.label(name);
        let field = ui.add(edit.desired_width(420.0)).labelled_by(label.id).on_hover_text(name);
        if self.fresh {
            field.request_focus();
            changes.push(Change::Focused);
        }
        if text != *typed {
            changes.push(Change::Typed(text));
        }
        let enter = ui.input(|input| input.key_pressed(Key::Enter));
        let taken = field.lost_focus() && enter && *asked != Asked::Paste;
        ui.horizontal(|ui| {
            if asked.file().is_some() && ui.button("File…").on_hover_text("Choose a file in a list").clicked()
            {
                changes.push(Change::List { folders: false });
            }
            if let Some(help) = asked.folder()
                && ui.button("Folder…").on_hover_text(help).clicked()
            {
                changes.push(Change::List { folders: true });
            }
            if ui.button("Use it").on_hover_text(asked.effect()).clicked() || taken {
                changes.push(Change::Use);
            }
            if ui.button("Cancel").on_hover_text("Everything stays as it is").clicked() {
                changes.push(Change::Close);
            }
        });
    }
}
