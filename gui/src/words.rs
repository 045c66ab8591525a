//! Numbers in words.

/// Thousands set apart.
pub fn grouped(at: u64) -> String {
    let digits = at.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time to about two digits: `12 s`, `5 min`, `2 h`, `3 days`.
pub fn time(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{:.0} s", seconds.max(0.0).ceil()),
        ..7_000.0 => format!("{:.0} min", seconds / 60.0),
        ..36_000.0 => format!("{:.1} h", seconds / 3600.0).replace(".0", ""),
        ..172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// Bytes to about two digits: `60 MB`, `3.2 GB`.
pub fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e6 => "1 MB".to_owned(),
        ..1e9 => format!("{:.0} MB", bytes / 1e6),
        ..1e10 => format!("{:.1} GB", bytes / 1e9),
        _ => format!("{:.0} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_two_digits() {
        let times = [0.2, 59.0, 600.0, 7200.0, 9000.0, 50_000.0, 1e6].map(time);
        assert_eq!(times, ["1 s", "59 s", "10 min", "2 h", "2.5 h", "14 h", "12 days"]);
        let sizes = [0, 60_000_000, 3_200_000_000, 64_000_000_000].map(size);
        assert_eq!(sizes, ["1 MB", "60 MB", "3.2 GB", "64 GB"]);
    }

    #[test]
    fn numbers_have_their_thousands_set_apart() {
        assert_eq!([0, 999, 1000, 1_048_576].map(grouped), ["0", "999", "1,000", "1,048,576"]);
    }
}
