//! An allocator that counts: what a thread asked for at most while it read an input.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread took and did not give back; negative where it gave back what others took.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// What `LIVE` may reach: while [`peak_of`] works, and only then, since a thread that gives its results to others seems to
    /// hold more and more.
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// The system's allocator, counted. A program that wants [`peak_of`] to know anything makes it its global allocator.
#[derive(Debug)]
pub struct Counting;

fn changed(bytes: isize) {
    // A thread that ends has no counters any more, and nobody who asks for them.
    let _ = LIVE.try_with(|live| {
        live.set(live.get().wrapping_add(bytes));
        PEAK.try_with(|peak| peak.set(peak.get().max(live.get())))
    });
}

/// Most bytes that the heap may grow by in [`peak_of`]. An allocation beyond it fails, which ends the process: an input that
/// asks for all of the machine is found, and the machine goes on.
const MOST: isize = 4 << 30;

fn is_too_much(bytes: usize) -> bool {
    let live = LIVE.try_with(Cell::get).unwrap_or(0);
    LIMIT.try_with(|limit| live.saturating_add_unsigned(bytes) > limit.get()).unwrap_or(false)
}

fn grown(bytes: usize) {
    changed(bytes as isize);
}

fn shrunk(bytes: usize) {
    changed((bytes as isize).wrapping_neg());
}

// SAFETY: every call goes to `System` with the arguments it came with, and its answer is given back unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_too_much(layout.size()) {
            return std::ptr::null_mut();
        }
        grown(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_too_much(layout.size()) {
            return std::ptr::null_mut();
        }
        grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_too_much(size) {
            return std::ptr::null_mut();
        }
        grown(size);
        shrunk(layout.size());
        // SAFETY: `pointer` came from `System` with this layout; the caller keeps the rest of the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Takes the limit away when it goes, by a panic too.
struct Unlimited;

impl Drop for Unlimited {
    fn drop(&mut self) {
        LIMIT.set(isize::MAX);
    }
}

/// What `work` returns, and by how many bytes the heap grew at most meanwhile by what this thread did; 0 where
/// [`Counting`] is not the allocator.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    LIMIT.set(before.saturating_add(MOST));
    let unlimited = Unlimited;
    let result = work();
    drop(unlimited);
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}
