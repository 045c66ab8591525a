//! A head, and its name.

/// Layer and head, both from 0.
pub type Head = (usize, usize);

/// What a head is called in words and figures: `L4 H1`, both counted from 0.
pub fn head_name((layer, head): Head) -> String {
    format!("L{layer} H{head}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_heads_are_counted_from_zero() {
        assert_eq!(head_name((0, 12)), "L0 H12");
    }
}
