//! How numbers are written in words and figures.

/// A number with its thousands apart: `12,288`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [0, 999, 1000, 12_288, 1_000_000].map(grouped),
            ["0", "999", "1,000", "12,288", "1,000,000"]
        );
    }
}
