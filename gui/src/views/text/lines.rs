//! Where lines of the text begin, found a piece at a time: a million tokens are broken into lines over some frames, and no frame
//! lays out more than it shows.

use std::ops::Range;

/// Line breaks for a number of characters a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    columns: usize,
    /// First token of every line that has begun.
    first: Vec<u32>,
    /// Tokens that have been looked at.
    done: u64,
    /// Characters in the last line.
    used: usize,
}

impl Lines {
    /// No token yet.
    pub fn new(columns: usize) -> Self {
        Self { columns: columns.max(1), first: Vec::new(), done: 0, used: 0 }
    }

    /// Characters a line.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Tokens that have their line.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Takes the next token: `width` characters, and whether a line ends after it. A token wider than a line has one of its
    /// own.
    pub fn push(&mut self, width: usize, ends: bool) {
        if self.first.is_empty() || self.used > 0 && self.used + width > self.columns {
            self.first.push(u32::try_from(self.done).unwrap_or(u32::MAX));
            self.used = 0;
        }
        self.done += 1;
        // A line that is over is full.
        self.used = if ends { self.columns } else { self.used + width };
    }

    /// Lines so far.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Tokens of a line.
    pub fn tokens(&self, line: usize) -> Range<u64> {
        let first = |line: usize| self.first.get(line).map_or(self.done, |&first| u64::from(first));
        first(line)..first(line + 1)
    }

    /// The line of a token.
    pub fn line(&self, token: u64) -> Option<usize> {
        (token < self.done).then(|| self.first.partition_point(|&first| u64::from(first) <= token) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(columns: usize, tokens: &[(usize, bool)]) -> Vec<Range<u64>> {
        let mut lines = Lines::new(columns);
        tokens.iter().for_each(|&(width, ends)| lines.push(width, ends));
        (0..lines.len()).map(|line| lines.tokens(line)).collect()
    }

    #[test]
    fn lines_break_where_they_are_full_or_end() {
        let token = |width| (width, false);
        assert_eq!(lines(10, &[token(4), token(4), token(4)]), [0..2, 2..3]);
        assert_eq!(lines(10, &[token(4), (1, true), token(4)]), [0..2, 2..3]);
        assert_eq!(lines(10, &[(1, true), (1, true), token(1)]), [0..1, 1..2, 2..3]);
        assert_eq!(lines(3, &[token(9), token(1), token(2)]), [0..1, 1..3]);
        assert_eq!(lines(3, &[]), []);
    }

    #[test]
    fn every_token_has_one_line() {
        let mut lines = Lines::new(20);
        (0..1000_usize).for_each(|at| lines.push(at * 7 % 9, at % 31 == 0));
        for token in 0..1000 {
            let line = lines.line(token).expect("a line");
            assert!(lines.tokens(line).contains(&token));
        }
        assert_eq!((lines.line(1000), Lines::new(5).line(0)), (None, None));
    }
}
