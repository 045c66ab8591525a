//! What the reader asks for. Views read state and push commands; [`Window`](crate::window::Window) alone obeys them, before the
//! next frame.

use std::ops::Range;
use std::path::PathBuf;

use lm_infinite::diagnose::Head;

use crate::export::{self, Wanted};
use crate::generation;
use crate::notes;
use crate::settings::Settings;
use crate::tab::Tab;
use crate::tour::Tour;
use crate::views::ask::question::{Change, Question};
use crate::views::causes::model as causes;
use crate::views::curves::model as curves;
use crate::views::features::cloud as features;
use crate::views::heads::listing;
use crate::views::heads::model::Choice;
use crate::views::map::viewport as map;
use crate::views::pair::Pair;
use crate::views::palette::typed::Typed;
use crate::views::pull::change as pull;
use crate::views::shown::{Hidden, Hover};
use crate::views::text::colors as text;
use crate::views::timeline::cursor::Cursor;
use crate::workbench::{Arrangement, Layout, Panels};

/// A wish of the reader.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Begin, or begin anew.
    Run,
    /// Wait, or go on.
    Pause,
    /// One chunk more.
    Step,
    /// End.
    Stop,
    /// The run bar says this now.
    Settings(Settings),
    /// Why the last change of a parameter of a policy was refused, if it was.
    Refused(Vec<Option<String>>),
    /// Read the model without this field of its file, which nothing reads; or with all that it has.
    Ignore(Option<String>),
    /// One policy more; its details are unfolded.
    AddPolicy(String),
    /// One policy less.
    RemovePolicy(usize),
    /// Details of these policies are not drawn.
    Fold(Hidden),
    /// Differences are of these two.
    Pair(Pair),
    /// Bring a tile to the front.
    Show(Tab),
    /// Arrange the tiles as this layout has them.
    Layout(Layout),
    /// Tiles were moved, split, tabbed or resized.
    Arrange(Arrangement),
    /// Side panels were opened or closed.
    Panels(Panels),
    /// Keep a query marked, of which views show the attention; or none.
    Mark(Option<u64>),
    /// The cursor of the timeline: the marked query, while it moves or where it rests.
    Cursor(Cursor),
    /// A range of the text, or all of it.
    Range(Option<Range<u64>>),
    /// Move the cursor through the text, or hold it.
    Play(bool),
    /// Show a run of this session again.
    Recall(u64),
    /// Put the command of a run on the clipboard: of an earlier one, or of that on screen.
    CopyCommand(Option<u64>),
    /// Let a run of this session go.
    Discard(u64),
    /// These policies are not drawn.
    Hide(Hidden),
    /// The pointer is over this; forgotten at the next frame unless a view says so again.
    Hover(Hover),
    /// Show the small window that asks for something.
    Ask(Question),
    /// What the reader does in the small window that downloads models.
    Pull(pull::Change),
    /// Show the small window that asks for a result folder.
    AskForResults,
    /// What the reader does in it.
    Answer(Change),
    /// Files were let go over the window.
    Drop(Vec<PathBuf>),
    /// Show all commands by name, with what is typed; or close them.
    Palette(Option<Typed>),
    /// Take the last change of settings back.
    Undo,
    /// Take it again.
    Redo,
    /// Look where the reader looked before.
    Back,
    /// And where after that.
    Forward,
    /// Change a mark of the text.
    Note(notes::Change),
    /// Read this result folder.
    OpenResults(PathBuf),
    /// Show the list of keys, or close it.
    Help(bool),
    /// The tour is here now.
    Tour(Tour),
    /// Dark, or light.
    Dark(bool),
    /// Show what can be exported, or close it.
    ToggleExport,
    /// The fields of the export say this now.
    Export(export::Controls),
    /// Write a file, or all of them.
    Write(Wanted),
    /// Show where the last file was written in the system's file manager.
    Reveal,
    /// This head is chosen; or the mean of all.
    Head(Option<Head>),
    /// These heads are compared.
    Pins(Vec<Head>),
    /// What sorts the rows of heads, and which ones there are.
    HeadRows(listing::Controls),
    /// The policy whose maps of all heads are shown.
    Multiples(usize),
    /// The head grid shows this now, and this head is chosen.
    Heads(Choice),
    /// The menus and the cursor of the curves.
    Curves(curves::Controls),
    /// What the maps show.
    Map(map::Controls),
    /// What is mended, and what is looked into.
    Causes(causes::Change),
    /// The layer of the hidden states.
    Features(features::Controls),
    /// What the text shows.
    Text(text::Change),
    /// The fields of the tab of generation.
    Generate(generation::Controls),
    /// Continue the prompt under every policy.
    StartGenerating,
    /// Begin a conversation anew.
    NewConversation,
    /// End the generation; what came stays.
    StopGenerating,
}

impl Command {
    /// Whether the pointer alone asks for it, or the drawing: what was told of the last command stays.
    pub fn is_passing(&self) -> bool {
        use text::Change::{Columns, Scrolled};
        matches!(self, Self::Hover(_) | Self::Curves(_) | Self::Text(Columns(_) | Scrolled(_)))
    }
}
