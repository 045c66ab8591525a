//! The small window that downloads models.

pub mod change;

use eframe::egui::{
    Align2, Button, Context, Key, Label, Modifiers, ProgressBar, RichText, Role, TextEdit, Ui, WidgetInfo,
    Window,
};
use lm_infinite::hub::ListedModel;

use self::change::Change;
use crate::command::Command;
use crate::pulling::Pulling;
use crate::theme;
use crate::words::size;

/// The small window, and what it is doing.
#[derive(Default)]
pub struct Panel {
    open: bool,
    typed: String,
    pulling: Pulling,
    said: Option<String>,
}

impl Panel {
    /// Takes what the reader does.
    pub fn obey(&mut self, change: Change, ctx: &Context) {
        match change {
            Change::Open(open) => {
                self.open = open;
                if open && self.pulling.name().is_none() {
                    self.pulling.forget();
                    self.said = None;
                }
            }
            Change::Typed(typed) => self.typed = typed,
            Change::Start(name) => {
                self.said = None;
                self.pulling.start(name.trim().to_owned(), theme::wake(ctx));
            }
            Change::Stop => self.pulling.stop(),
        }
    }

    /// Takes what has come: the name of a model that is there now.
    pub fn update(&mut self) -> Option<String> {
        self.pulling.poll();
        let (name, path) = self.pulling.take()?;
        self.said = Some(format!("{name} is in {}; the next run reads it.", path.display()));
        Some(name)
    }

    /// Escape closes it.
    pub fn keys(&self, ctx: &Context, commands: &mut Vec<Command>) {
        if self.open && ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape)) {
            commands.push(Command::Pull(Change::Open(false)));
        }
    }

    /// Draws it while it is open.
    pub fn show(&self, ctx: &Context, models: &[ListedModel], commands: &mut Vec<Command>) {
        let mut open = self.open;
        let middle = ctx.content_rect().center();
        let window = Window::new("Pull a model").open(&mut open).collapsible(false).resizable(false);
        window.pivot(Align2::CENTER_CENTER).default_pos(middle).show(ctx, |ui| {
            ui.set_width(440.0);
            self.models_ui(ui, models, commands);
            self.typed_ui(ui, commands);
            self.state_ui(ui, commands);
        });
        if open != self.open {
            commands.push(Command::Pull(Change::Open(open)));
        }
    }

    /// Models that are known by a name.
    fn models_ui(&self, ui: &mut Ui, models: &[ListedModel], commands: &mut Vec<Command>) {
        for model in models.iter().filter(|model| model.path.is_some()) {
            let ListedModel { name, description, licence, bytes, present, .. } = model;
            ui.horizontal(|ui| {
                let idle = self.pulling.name().is_none() && !present;
                let button = ui.add_enabled(idle, Button::new(if *present { "Here" } else { "Pull" }));
                let words = format!("Pull {name}");
                button.widget_info(|| WidgetInfo::labeled(Role::Button, idle, &words));
                if button.on_hover_text(format!("Downloads {}", size(*bytes))).clicked() {
                    commands.push(Command::Pull(Change::Start((*name).to_owned())));
                }
                ui.strong(*name);
                ui.add(Label::new(format!("{description} ({licence}, {})", size(*bytes))).wrap());
            });
        }
    }

    /// Any repository of Hugging Face.
    fn typed_ui(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let mut typed = self.typed.clone();
        ui.horizontal(|ui| {
            let label = ui.label("Name");
            let field = TextEdit::singleline(&mut typed).hint_text("hf:org/name").desired_width(280.0);
            let help = "hf:org/name, hf:org/name@revision, or hf:org/name:file.gguf of Hugging Face";
            let field = ui.add(field).labelled_by(label.id).on_hover_text(help);
            let idle = self.pulling.name().is_none() && !typed.trim().is_empty();
            let enter = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let button = ui.add_enabled(idle, Button::new("Pull it"));
            if button.clicked() || enter && idle {
                commands.push(Command::Pull(Change::Start(typed.clone())));
            }
        });
        if typed != self.typed {
            commands.push(Command::Pull(Change::Typed(typed)));
        }
        ui.weak("What the window measures runs on this machine; only the download asks the network.");
    }

    /// How far it is, and what came of it.
    fn state_ui(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        if let Some(name) = self.pulling.name() {
            let (done, total) = self.pulling.bytes();
            ui.horizontal(|ui| {
                let share = done as f32 / total.max(1) as f32;
                ui.add(ProgressBar::new(share).desired_width(140.0).desired_height(8.0));
                let bytes =
                    if total > 0 { format!("{} of {}", size(done), size(total)) } else { "…".to_owned() };
                ui.label(format!("{name}: {bytes}"));
                if ui.button("Cancel the download").clicked() {
                    commands.push(Command::Pull(Change::Stop));
                }
            });
            ui.add(Label::new(self.pulling.said()).wrap());
            return;
        }
        if self.pulling.is_stopped() {
            ui.label("The download was ended.");
        } else if let Some(failure) = self.pulling.failure() {
            let words = format!("Nothing was downloaded. {failure}");
            ui.add(Label::new(RichText::new(words).color(theme::bad(ui.visuals()))).wrap());
        }
        if let Some(said) = &self.said {
            ui.add(Label::new(said).wrap());
        }
    }
}
