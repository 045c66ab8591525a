//! Every head's map at once, small: one policy, layers downwards and heads across. A click chooses a head.

mod atlas;

use std::sync::{Arc, Weak};

use eframe::egui::{
    Color32, Context, Label, Pos2, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, Ui, WidgetInfo, pos2, vec2,
};
use lm_infinite::diagnose::{Diagnosis, Head, head_name};

use self::atlas::{Atlas, SIDE};
use super::data;
use super::pane::Pane;
use super::shown::Shown;
use crate::command::Command;
use crate::task::Task;
use crate::theme;

/// Smallest and largest map on screen.
const SMALLEST: f32 = 22.0;
const LARGEST: f32 = 150.0;
/// Room for the numbers of the layers, and of the heads.
const LEFT: f32 = 26.0;
const ABOVE: f32 = 16.0;

/// What is asked for.
#[derive(Clone)]
struct Asked {
    diagnosis: Weak<Diagnosis>,
    side: usize,
    dark: bool,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        self.diagnosis.ptr_eq(&other.diagnosis) && (self.side, self.dark) == (other.side, other.dark)
    }
}

/// The tile.
struct Multiples {
    side: usize,
    work: Task<(Asked, Arc<Diagnosis>), Atlas>,
    asked: Option<Asked>,
    /// The last picture, with the head that it begins with: layers and heads.
    shown: Option<(Asked, TextureHandle, usize, usize)>,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::new(Multiples { side: 0, work: Task::newest("all maps"), asked: None, shown: None })
}

impl Pane for Multiples {
    fn obey(&mut self, command: &Command) {
        if let Command::Multiples(side) = command {
            self.side = *side;
        }
    }

    fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        if self.side >= shown.diagnosis.runs.len() {
            self.side = 0;
        }
        let dark = ctx.global_style().visuals.dark_mode;
        let asked = Asked { diagnosis: Arc::downgrade(shown.diagnosis), side: self.side, dark };
        // While a run streams there is a new diagnosis every moment: one picture is finished before the next.
        if self.asked.as_ref() != Some(&asked) && !self.work.is_running() {
            self.asked = Some(asked.clone());
            self.work.ask(
                (asked, shown.diagnosis.clone()),
                theme::wake(ctx),
                |(asked, diagnosis), worker| {
                    if let Some(atlas) = Atlas::new(&diagnosis, asked.side, asked.dark) {
                        worker.send(atlas);
                    }
                    Ok(())
                },
            );
        }
        if self.work.poll()
            && let Some(((asked, _), atlas)) = self.work.take()
        {
            let (layers, heads) = (atlas.layers, atlas.heads);
            let texture = match self.shown.take() {
                Some((_, mut texture, ..)) => {
                    texture.set(atlas.image, TextureOptions::LINEAR);
                    texture
                }
                None => ctx.load_texture("all maps", atlas.image, TextureOptions::LINEAR),
            };
            self.shown = Some((asked, texture, layers, heads));
            ctx.request_repaint();
        }
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        ui.horizontal_wrapped(|ui| {
            for side in 0..shown.diagnosis.runs.len() {
                let name = theme::name(side);
                let button = ui.selectable_label(self.side == side, name);
                button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("All maps of {name}")));
                if button.on_hover_text(format!("Maps under {name}")).clicked() {
                    commands.push(Command::Multiples(side));
                }
            }
            let words =
                "Log probability of every head: queries downwards, keys across. A click chooses a head.";
            ui.add(Label::new(words).truncate()).on_hover_text(words);
        });
        let size = (shown.diagnosis.config.layers, shown.diagnosis.config.heads);
        let Some((_, texture, layers, heads)) = self
            .shown
            .as_ref()
            .filter(|(of, _, layers, heads)| of.side == self.side && (*layers, *heads) == size)
        else {
            ui.weak(if self.work.is_running() {
                "The maps are being drawn …"
            } else {
                "There is no map yet."
            });
            return;
        };
        let (layers, heads) = (*layers, *heads);
        let room = ui.available_size() - vec2(LEFT + 14.0, ABOVE);
        let step = (room.x / heads as f32).min(room.y / layers as f32).clamp(SMALLEST, LARGEST);
        ScrollArea::both().auto_shrink(false).show(ui, |ui| {
            let size = vec2(LEFT + step * heads as f32, ABOVE + step * layers as f32);
            let (area, response) = ui.allocate_exact_size(size, Sense::click());
            response.widget_info(|| WidgetInfo::labeled(Role::Grid, true, "Maps of all heads"));
            data::mark(ui, area);
            let place = |(layer, head): Head| {
                let corner = vec2(LEFT + step * head as f32, ABOVE + step * layer as f32);
                Rect::from_min_size(area.min + corner, vec2(step, step)).shrink(1.0)
            };
            paint(ui, area, texture, (layers, heads), &place);
            if let Some(head) = shown.head.filter(|&(layer, head)| layer < layers && head < heads) {
                let stroke = Stroke::new(2.0, ui.visuals().strong_text_color());
                ui.painter().rect_stroke(place(head), 1.0, stroke, StrokeKind::Outside);
            }
            for (at, &head) in shown.pins.iter().enumerate() {
                let corner = place(head).right_top() + vec2(-4.0, 4.0);
                ui.painter().circle_filled(corner, 3.0, theme::side(ui.visuals(), at));
            }
            let under = |at: Pos2| {
                let from = at - area.min - vec2(LEFT, ABOVE);
                let inside = from.x >= 0.0 && from.y >= 0.0;
                let head = ((from.y / step) as usize, (from.x / step) as usize);
                (inside && head.0 < layers && head.1 < heads).then_some(head)
            };
            if response.clicked()
                && let Some(head) = response.interact_pointer_pos().and_then(under)
            {
                commands.push(Command::Head(Some(head)));
            }
            if let Some(head) = response.hover_pos().and_then(under) {
                response.on_hover_text_at_pointer(head_name(head));
            }
        });
    }

    fn is_busy(&self) -> bool {
        self.work.is_running()
    }
}

/// Every map, with the numbers of layers and heads as far as there is room for them.
fn paint(
    ui: &Ui,
    area: Rect,
    texture: &TextureHandle,
    (layers, heads): (usize, usize),
    place: &impl Fn(Head) -> Rect,
) {
    use eframe::egui::{Align2, FontId};
    let painter = ui.painter();
    let (font, ink) = (FontId::proportional(10.0), ui.visuals().weak_text_color());
    let visible = ui.clip_rect();
    let part = |at: usize, count: usize| at as f32 / count as f32;
    for layer in 0..layers {
        for head in 0..heads {
            let rect = place((layer, head));
            if !visible.intersects(rect) {
                continue;
            }
            painter.rect_filled(rect, 0.0, ui.visuals().extreme_bg_color);
            // Half a pixel inside, so that neighbours do not shine through.
            let inset = 0.5 / (SIDE as f32);
            let uv = Rect::from_min_max(
                pos2((head as f32 + inset) / heads as f32, (layer as f32 + inset) / layers as f32),
                pos2(
                    part(head + 1, heads) - inset / heads as f32,
                    part(layer + 1, layers) - inset / layers as f32,
                ),
            );
            painter.image(texture.id(), rect, uv, Color32::WHITE);
        }
        let at = pos2(area.left(), place((layer, 0)).center().y);
        painter.text(at, Align2::LEFT_CENTER, format!("L{layer}"), font.clone(), ink);
    }
    let every = (24.0 / place((0, 0)).width()).ceil().max(1.0) as usize;
    for head in (0..heads).step_by(every) {
        let at = pos2(place((0, head)).center().x, area.top());
        painter.text(at, Align2::CENTER_TOP, format!("H{head}"), font.clone(), ink);
    }
}
