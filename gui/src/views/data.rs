//! Where data is on screen: plots with their axes, maps, grids, lines of text. What is around them serves them, and a test holds
//! their shares of the window.

use eframe::egui::{Context, Id, Rect, Ui};

/// Of one frame.
#[derive(Clone, Default)]
struct Marked {
    frame: u64,
    rects: Vec<Rect>,
}

fn id() -> Id {
    Id::unique("where data is")
}

/// Data is drawn here, as far as it is not cut off.
pub fn mark(ui: &Ui, rect: Rect) {
    let (frame, rect) = (ui.ctx().cumulative_frame_nr(), rect.intersect(ui.clip_rect()));
    ui.ctx().data_mut(|data| {
        let marked = data.get_temp_mut_or_default::<Marked>(id());
        if marked.frame != frame {
            *marked = Marked { frame, rects: Vec::new() };
        }
        if rect.is_positive() {
            marked.rects.push(rect);
        }
    });
}

/// Where data was drawn in the last frame that had some.
pub fn marked(ctx: &Context) -> Vec<Rect> {
    ctx.data(|data| data.get_temp::<Marked>(id())).unwrap_or_default().rects
}
