//! Keys or values as they are held, and runs of them.

use std::borrow::Cow;
use std::ops::Range;

use crate::model::kv_type::{KvType, Stored};

/// Numbers of one page.
#[derive(Clone, Debug)]
pub(super) enum Page {
    F32(Box<[f32]>),
    /// Of F16 or BF16.
    Half(KvType, Box<[u16]>),
}

impl Page {
    /// So many zeros.
    pub fn zeros(kv: KvType, len: usize) -> Self {
        match kv {
            KvType::F32 => Self::F32(vec![0.0; len].into()),
            half => Self::Half(half, vec![0; len].into()),
        }
    }

    /// Writes `values` at `at`.
    pub fn write(&mut self, at: usize, values: &[f32]) {
        match self {
            Self::F32(page) => page[at..at + values.len()].copy_from_slice(values),
            Self::Half(kv, page) => kv.pack(values, &mut page[at..at + values.len()]),
        }
    }

    /// The numbers at `range`.
    pub fn slice(&self, range: Range<usize>) -> Stored<'_> {
        match self {
            Self::F32(page) => Stored::F32(&page[range]),
            Self::Half(kv, page) => Stored::Half(*kv, &page[range]),
        }
    }
}

/// Consecutive positions that lie behind each other in memory, for one key/value head, as they are held.
#[derive(Clone, Copy, Debug)]
pub struct StoredRun<'a> {
    /// Position of the first key.
    pub first: u64,
    /// Number of keys.
    pub len: usize,
    /// Values from one key to the next.
    pub stride: usize,
    /// Keys before the position encoding, row `r` at `r · stride`; nothing behind the last row.
    pub keys: Stored<'a>,
    /// Values, laid out as the keys.
    pub values: Stored<'a>,
}

/// The same to compute with.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Position of the first key.
    pub first: u64,
    /// Number of keys.
    pub len: usize,
    /// Values from one key to the next.
    pub stride: usize,
    /// As in [`StoredRun`].
    pub keys: &'a [f32],
    /// As in [`StoredRun`].
    pub values: &'a [f32],
}

impl<'a> StoredRun<'a> {
    /// The run, in `buffers` where it is not held as it is.
    pub fn read<'b>(&self, [keys, values]: &'b mut [Vec<f32>; 2]) -> Run<'b>
    where
        'a: 'b,
    {
        let Self { first, len, stride, .. } = *self;
        Run { first, len, stride, keys: self.keys.read(keys), values: self.values.read(values) }
    }

    /// The key in row `r`. `[head_dim]`
    pub fn key(&self, r: usize, head_dim: usize) -> Cow<'a, [f32]> {
        self.keys.slice(r * self.stride..r * self.stride + head_dim).numbers()
    }

    /// The value in row `r`. `[head_dim]`
    pub fn value(&self, r: usize, head_dim: usize) -> Cow<'a, [f32]> {
        self.values.slice(r * self.stride..r * self.stride + head_dim).numbers()
    }

    /// Parts of at most `len` keys, of rows of `head_dim` values.
    pub fn split(self, len: usize, head_dim: usize) -> impl Iterator<Item = StoredRun<'a>> {
        (0..self.len).step_by(len).map(move |at| {
            let count = len.min(self.len - at);
            let rows = at * self.stride..(at + count - 1) * self.stride + head_dim;
            StoredRun {
                first: self.first + at as u64,
                len: count,
                stride: self.stride,
                keys: self.keys.slice(rows.clone()),
                values: self.values.slice(rows),
            }
        })
    }
}

impl<'a> Run<'a> {
    /// The same, held as it is.
    pub fn stored(&self) -> StoredRun<'a> {
        let Self { first, len, stride, keys, values } = *self;
        StoredRun { first, len, stride, keys: Stored::F32(keys), values: Stored::F32(values) }
    }
}
