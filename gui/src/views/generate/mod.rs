//! One prompt, every policy: how each continues it, side by side, every token coloured by its loss. The prompt is the beginning of
//! the text, words of the reader's own, or a conversation.

mod menus;
mod result;

use std::sync::Arc;

use eframe::egui::{Context, ProgressBar, Ui};

use super::pane::Pane;
use super::shown::Shown;
use crate::command::Command;
use crate::export::{TableFile, Wanted};
use crate::generation::{self, Controls, Conversation, Generation, Prompt, Request, Source, Turn};
use crate::inputs::Inputs;
use crate::theme;
use crate::words::grouped;

/// Prompt by default, in training lengths: where attention without the fix has long fallen apart.
const PROMPT: u64 = 8;

/// The tab, with what is asked for and the last generation.
#[derive(Default)]
struct Generate {
    controls: Controls,
    generation: Generation,
    /// The reader has pressed the button.
    asked: bool,
    /// What was said so far, and with what.
    conversation: Conversation,
    of: Option<Arc<Inputs>>,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::<Generate>::default()
}

impl Pane for Generate {
    fn obey(&mut self, command: &Command) {
        match command {
            Command::Generate(controls) => self.controls = controls.clone(),
            Command::StartGenerating => self.asked = true,
            Command::StopGenerating => self.generation.stop(),
            Command::NewConversation => {
                self.generation.stop();
                self.conversation = Conversation::default();
            }
            _ => {}
        }
    }

    fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        self.generation.poll();
        self.take_answers();
        let asked = std::mem::take(&mut self.asked);
        let Some(inputs) = shown.inputs else { return };
        let by_default = shown.diagnosis.trained_length.saturating_mul(PROMPT);
        let prompt = self.controls.prompt.unwrap_or(by_default).clamp(1, shown.diagnosis.tokens.max(1));
        self.controls.prompt = Some(prompt);
        // A small model is asked at once: an empty tab tells nobody what it is for.
        let known = prompt <= inputs.tokens.len() as u64;
        let first = self.generation.is_new() && inputs.is_small() && known;
        if asked || (first && self.controls.source == Source::Text) {
            self.start(ctx, inputs, prompt as usize);
        }
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let Some(inputs) = shown.inputs else {
            ui.label("A result folder holds no model. Press Run to load one, then generate.");
            return;
        };
        self.menus_ui(ui, inputs, commands);
        if let Some(reason) = self.generation.failure() {
            ui.colored_label(theme::bad(ui.visuals()), format!("The generation ended early. {reason}"));
        }
        if let Some(progress) = self.generation.reading() {
            ui.horizontal(|ui| {
                ui.add(ProgressBar::new(progress.share()).desired_width(180.0));
                let (done, total) = (progress.done, progress.total);
                ui.label(format!("The policies read the prompt: {done} of {total} tokens"));
            });
        }
        if self.controls.source == Source::Chat && inputs.chat_template.is_none() {
            ui.colored_label(
                theme::bad(ui.visuals()),
                format!("{}.", generation::without_template(&inputs.model)),
            );
        }
        // Where nothing can be sent, why stands above.
        let chat = self.controls.source == Source::Chat && inputs.chat_template.is_some();
        if chat && self.conversation.turns.is_empty() {
            ui.label(self.hint(shown.diagnosis.trained_length));
        }
        match self.generation.result() {
            Some((request, generated)) => {
                if !Arc::ptr_eq(&request.inputs, inputs) {
                    ui.colored_label(
                        theme::bad(ui.visuals()),
                        "Of an earlier run. Generate goes on with the run on screen.",
                    );
                }
                ui.weak(goes_on(request));
                result::show(ui, request, generated, self.shown_conversation(request));
            }
            None if self.generation.is_running() => {}
            None if self.controls.source == Source::Chat => {}
            None => drop(ui.label(self.hint(shown.diagnosis.trained_length))),
        }
    }

    fn is_busy(&self) -> bool {
        self.generation.is_running()
    }
}

impl Generate {
    /// What the pane is for, while nothing was generated.
    fn hint(&self, trained_length: u64) -> String {
        let trained = format!("The model was trained on {} tokens.", grouped(trained_length));
        match self.controls.source {
            Source::Text | Source::Own => {
                format!("{trained} Generate to see how each policy continues a prompt longer than that.")
            }
            Source::Chat => format!(
                "Write a message and Send it: every policy answers, and goes on with its own answers. {trained} A conversation that grows \
                 longer shows where they begin to differ."
            ),
        }
    }

    fn start(&mut self, ctx: &Context, inputs: &Arc<Inputs>, prompt: usize) {
        let prompt = match self.controls.source {
            Source::Text => Prompt::Text(prompt),
            Source::Own => Prompt::Own(self.controls.typed.clone()),
            Source::Chat => {
                // Other policies have not said what these did.
                if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, inputs)) {
                    self.conversation = Conversation::default();
                }
                self.of = Some(inputs.clone());
                // What has no answer was not said.
                if self.conversation.open().is_some() {
                    self.conversation.turns.pop();
                }
                if self.conversation.turns.is_empty() {
                    self.conversation.system.clone_from(&self.controls.system);
                }
                let said = std::mem::take(&mut self.controls.typed);
                self.conversation.turns.push(Turn { said, answers: Vec::new() });
                Prompt::Chat(self.conversation.clone())
            }
        };
        let (inputs, tokens, sampling) =
            (inputs.clone(), self.controls.tokens as usize, self.controls.sampling());
        self.generation.start(Request { inputs, prompt, tokens, sampling }, theme::wake(ctx));
    }

    /// At the end of a turn its answers become part of the conversation; where it failed, what was said is in the field again.
    fn take_answers(&mut self) {
        if self.generation.is_running() {
            return;
        }
        let asked = self.generation.request().map(|request| &request.prompt);
        let Some(Prompt::Chat(asked)) = asked.filter(|_| self.conversation.open().is_some()) else { return };
        let result = self.generation.result();
        let answered =
            result.filter(|(request, _)| matches!(&request.prompt, Prompt::Chat(of) if of == asked));
        match (answered, self.conversation.turns.last_mut()) {
            (Some((_, generated)), Some(turn)) => {
                turn.answers = generated.iter().map(|continued| continued.text().trim().to_owned()).collect();
            }
            (None, Some(_)) => {
                let turn = self.conversation.turns.pop().unwrap_or_default();
                if self.controls.typed.is_empty() {
                    self.controls.typed = turn.said;
                }
            }
            (_, None) => {}
        }
    }

    /// The conversation, if that is what a result is of.
    fn shown_conversation(&self, request: &Request) -> Option<&Conversation> {
        matches!(request.prompt, Prompt::Chat(_)).then_some(&self.conversation)
    }

    /// The last result as a file.
    fn file(&self) -> Option<TableFile> {
        let (request, generated) = self.generation.result()?;
        let text = generation::json(request, generated, self.shown_conversation(request));
        let kind = if matches!(request.prompt, Prompt::Chat(_)) { "conversation" } else { "generated" };
        let name = request.inputs.model.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        Some(TableFile { name: format!("{kind}_{name}"), extension: "json", text: text.into() })
    }
}

/// What is gone on from, in words.
fn goes_on(request: &Request) -> String {
    let model = &request.inputs.model;
    match &request.prompt {
        Prompt::Text(prompt) => {
            let text = request.inputs.settings.text_name();
            format!("{model} goes on behind the first {} tokens of {text}.", grouped(*prompt as u64))
        }
        Prompt::Own(_) => format!("{model} goes on behind what was typed."),
        Prompt::Chat(_) => format!("{model} answers by its chat template."),
    }
}

/// What saves a file.
fn save(file: TableFile) -> Command {
    Command::Write(Wanted::Table(file))
}
