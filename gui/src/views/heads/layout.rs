//! Where the tiles of the grid are: places in rows, scrolled where they do not fit.

use eframe::egui::{Pos2, Rect, Vec2, vec2};

use super::model::Order;

/// Room for the names of the layers, left of the tiles, and of the heads, above them.
const MARGIN: f32 = 26.0;
const ABOVE: f32 = 14.0;
/// Sides of a tile: no smaller than can be told apart and hit, no larger than helps.
const SMALLEST: Vec2 = vec2(11.0, 11.0);
const LARGEST: Vec2 = vec2(240.0, 150.0);
/// A sorted tile holds the name of its head, as `L79 H63`.
const NAMED: Vec2 = vec2(54.0, 20.0);

/// Tiles of one size, in rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// Tiles in a row.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
    /// Size of a tile, with its gap.
    pub tile: Vec2,
    /// Left of the first column, and above the first row.
    margin: Vec2,
    count: usize,
}

impl Layout {
    /// For `layers` × `heads` in a space of this size.
    pub fn new(order: Order, layers: usize, heads: usize, space: Vec2) -> Self {
        let count = layers * heads;
        match order {
            Order::Layers => {
                let across = (space.x - MARGIN) / heads.max(1) as f32;
                let down = (space.y - ABOVE) / layers.max(1) as f32;
                let tile = vec2(across, down).clamp(SMALLEST, LARGEST);
                Self { columns: heads, rows: layers, tile, margin: vec2(MARGIN, ABOVE), count }
            }
            Order::Strongest => {
                let columns = ((space.x / NAMED.x) as usize).clamp(1, count.max(1));
                let rows = count.div_ceil(columns);
                let size = vec2(space.x / columns as f32, space.y / rows.max(1) as f32);
                let tile = size.clamp(NAMED, LARGEST);
                Self { columns, rows, tile, margin: Vec2::ZERO, count }
            }
        }
    }

    /// Size of the whole.
    pub fn size(&self) -> Vec2 {
        self.margin + vec2(self.tile.x * self.columns as f32, self.tile.y * self.rows as f32)
    }

    /// The tile of a place, in a grid whose upper left corner is `origin`.
    pub fn rect(&self, origin: Pos2, place: usize) -> Rect {
        let (row, column) = (place / self.columns.max(1), place % self.columns.max(1));
        let corner = self.margin + vec2(self.tile.x * column as f32, self.tile.y * row as f32);
        let gap = if self.tile.min_elem() > 12.0 { 1.0 } else { 0.5 };
        Rect::from_min_size(origin + corner, self.tile).shrink(gap)
    }

    /// The place under a point.
    pub fn place(&self, origin: Pos2, at: Pos2) -> Option<usize> {
        let from = at - origin - self.margin;
        let (column, row) = (from.x / self.tile.x, from.y / self.tile.y);
        if column < 0.0 || row < 0.0 || column as usize >= self.columns {
            return None;
        }
        let place = row as usize * self.columns + column as usize;
        (place < self.count).then_some(place)
    }

    /// The rows that cross the heights `top..bottom` below the upper edge.
    pub fn rows_between(&self, top: f32, bottom: f32) -> std::ops::Range<usize> {
        let [top, bottom] = [top, bottom].map(|at| (at - self.margin.y).max(0.0));
        let first = (top / self.tile.y) as usize;
        let last = (bottom / self.tile.y).ceil() as usize;
        first.min(self.rows)..last.min(self.rows)
    }

    /// The places of a row.
    pub fn places(&self, row: usize) -> std::ops::Range<usize> {
        (row * self.columns).min(self.count)..((row + 1) * self.columns).min(self.count)
    }

    /// The place one step away, within the grid; the first if none is given.
    pub fn moved(&self, place: Option<usize>, down: isize, right: isize) -> Option<usize> {
        let Some(place) = place.filter(|&place| place < self.count) else {
            return (self.count > 0).then_some(0);
        };
        let row = (place / self.columns).saturating_add_signed(down).min(self.rows - 1);
        let column = (place % self.columns).saturating_add_signed(right).min(self.columns - 1);
        let next = row * self.columns + column;
        // The last row may be short.
        Some(if next < self.count { next } else { place })
    }
}

#[cfg(test)]
mod tests {
    use eframe::egui::pos2;

    use super::*;

    #[test]
    fn arrow_keys_stay_in_the_grid() {
        let grid = Layout::new(Order::Layers, 3, 4, vec2(300.0, 200.0));
        assert_eq!(grid.moved(None, 1, 0), Some(0));
        assert_eq!(grid.moved(Some(0), -1, -1), Some(0));
        assert_eq!(grid.moved(Some(11), 1, 1), Some(11));
        assert_eq!(grid.moved(Some(5), 1, 0), Some(9));
        assert_eq!(Layout::new(Order::Layers, 0, 0, vec2(300.0, 200.0)).moved(None, 1, 0), None);
        // 7 places in rows of 5: below the fourth there is none.
        let sorted = Layout::new(Order::Strongest, 1, 7, vec2(280.0, 200.0));
        assert_eq!(sorted.columns, 5);
        assert_eq!((sorted.moved(Some(3), 1, 0), sorted.moved(Some(1), 1, 0)), (Some(3), Some(6)));
    }

    #[test]
    fn the_place_under_the_middle_of_a_tile_is_its_own() {
        let origin = pos2(7.0, 90.0);
        for order in [Order::Layers, Order::Strongest] {
            for (layers, heads) in [(30, 9), (80, 64), (1, 1)] {
                let layout = Layout::new(order, layers, heads, vec2(330.0, 500.0));
                for place in 0..layers * heads {
                    assert_eq!(layout.place(origin, layout.rect(origin, place).center()), Some(place));
                }
                assert_eq!(layout.place(origin, origin - vec2(1.0, 1.0)), None);
                assert_eq!(layout.place(origin, origin + layout.size() + vec2(1.0, 1.0)), None);
            }
        }
    }

    #[test]
    fn tiles_can_be_hit_whatever_the_model() {
        let small = Layout::new(Order::Layers, 6, 4, vec2(330.0, 500.0));
        assert_eq!(small.size(), vec2(330.0, 500.0), "it fills its space");
        assert_eq!(Layout::new(Order::Layers, 1, 1, vec2(900.0, 900.0)).tile, LARGEST);
        let fitting = Layout::new(Order::Layers, 30, 9, vec2(330.0, 500.0));
        assert!(fitting.size().x <= 330.0 && fitting.size().y <= 500.1);
        let large = Layout::new(Order::Layers, 80, 64, vec2(330.0, 500.0));
        assert!(large.tile.min_elem() >= 11.0 && large.size().x > 330.0, "it scrolls");
        let sorted = Layout::new(Order::Strongest, 80, 64, vec2(330.0, 500.0));
        assert!(sorted.size().x <= 330.1 && sorted.tile.x >= NAMED.x);
    }

    #[test]
    fn only_rows_on_screen_are_drawn() {
        let grid = Layout::new(Order::Strongest, 80, 64, vec2(400.0, 500.0));
        let rows = grid.rows_between(100.0, 300.0);
        assert_eq!((rows.clone(), grid.places(rows.start)), (5..15, 35..42));
        assert_eq!(grid.rows_between(-50.0, 1e9).end, grid.rows);
        assert_eq!(grid.places(grid.rows - 1).end, 80 * 64);
    }
}
