//! A part of a long text, so that many machines can read it at once.
//!
//! With a window, the states of a token in layer `l` depend on the start tokens and on the `window − 1` tokens before it in
//! layer `l − 1`; through all layers, on at most `layers · window` tokens. A shard therefore feeds the start tokens, leaves a
//! gap, warms up on that many tokens before its part (the *halo*), and from there on computes what the whole run would, up
//! to the rounding of sums that were cut elsewhere.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use lm_infinite_runtime::policy::AttentionPolicy;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The `index`-th of `count` parts, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Shard {
    /// Which.
    pub index: u64,
    /// Of how many.
    pub count: u64,
}

/// A shard as a file says it.
#[derive(Deserialize)]
struct Parts {
    index: u64,
    count: u64,
}

impl TryFrom<Parts> for Shard {
    type Error = String;

    fn try_from(Parts { index, count }: Parts) -> std::result::Result<Self, String> {
        match index < count {
            true => Ok(Self { index, count }),
            false => Err(format!("shard {index}/{count}: shards are counted from 0 to {count} − 1")),
        }
    }
}

impl Shard {
    /// The whole text.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Positions that belong to this part of a text of `tokens` tokens.
    pub fn part(self, tokens: u64) -> Range<u64> {
        let at = |index: u64| (u128::from(tokens) * u128::from(index) / u128::from(self.count)) as u64;
        at(self.index)..at(self.index + 1)
    }

    /// Where reading begins: at the halo before the part, or at 0 where that would reach into the start tokens.
    ///
    /// # Errors
    /// A policy without a window, whose tokens depend on all before them.
    pub fn begin(self, tokens: u64, layers: usize, policy: &AttentionPolicy) -> Result<u64> {
        self.begin_of(tokens, layers, policy, &policy.to_string())
    }

    /// The same, of a policy that the user calls `name`.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_of(self, tokens: u64, layers: usize, policy: &AttentionPolicy, name: &str) -> Result<u64> {
        let part = self.part(tokens);
        if part.start == 0 {
            return Ok(0);
        }
        let Some(window) = policy.window.filter(|_| policy.retrieved.is_none()) else {
            let reason = format!(
                "the policy {name} has no window, or looks behind it: every token depends on all before it, so that a part \
                 cannot be read alone"
            );
            return Err(Error::input(format!("--shard {self}"), reason));
        };
        let halo = window.saturating_mul(layers as u64);
        let begin = part.start.saturating_sub(halo);
        Ok(if begin > policy.start { begin } else { 0 })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("expected INDEX/COUNT with INDEX from 0 to COUNT − 1".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lm_infinite_runtime::policy::PolicySpec;

    fn policy(text: &str) -> AttentionPolicy {
        PolicySpec::parse(text, 256).expect("a policy").policy
    }

    #[test]
    fn parts_cover_every_position_once() {
        for (tokens, count) in [(10, 3), (7, 7), (3, 5), (1 << 40, 1000)] {
            let parts: Vec<_> = (0..count).map(|index| Shard { index, count }.part(tokens)).collect();
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, tokens));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn a_shard_begins_a_halo_before_its_part() {
        let begin = |index, text: &str| Shard { index, count: 4 }.begin(40_000, 6, &policy(text));
        assert_eq!(begin(0, "vanilla").expect("the first needs nothing before it"), 0);
        assert_eq!(begin(1, "lm-infinite").expect("a window"), 10_000 - 6 * 256);
        assert_eq!(begin(1, "lm-infinite:window=4k").expect("a window"), 0, "the halo reaches the beginning");
        for unbounded in ["vanilla", "lm-infinite-topk"] {
            assert!(begin(1, unbounded).expect_err(unbounded).to_string().contains("no window"));
        }
    }

    #[test]
    fn a_file_has_no_shard_that_cannot_be() {
        let read = |index: u64, count: u64| {
            serde_json::from_value::<Shard>(serde_json::json!({"index": index, "count": count}))
        };
        assert_eq!(read(2, 3).expect("the last"), Shard { index: 2, count: 3 });
        for (index, count) in [(0, 0), (3, 3), (u64::MAX, u64::MAX)] {
            assert!(read(index, count).expect_err("none").to_string().contains("counted from 0"));
        }
    }

    #[test]
    fn shards_are_read_as_they_are_written() {
        assert_eq!("2/7".parse(), Ok(Shard { index: 2, count: 7 }));
        for wrong in ["", "2", "7/7", "-1/3", "a/b", "1/0", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
