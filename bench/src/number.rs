//! Figures as people read them: three significant digits, thousands set apart.

/// A measured quantity.
pub fn quantity(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 || size == 0.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    thousands(&format!("{value:.decimals$}"))
}

/// A whole number.
pub fn count(value: u64) -> String {
    thousands(&value.to_string())
}

/// How many times something is something else.
pub fn ratio(value: f64) -> String {
    format!("{value:.2}×")
}

fn thousands(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    format!("{sign}{}{fraction}", grouped.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits_that_matter() {
        let texts = [0.0, 0.1234, 1.0, 12.34, 99.96, 123.4, 1_234_567.8, -1234.5].map(quantity);
        assert_eq!(texts, ["0", "0.123", "1.00", "12.3", "100", "123", "1,234,568", "-1,234"]);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 30_000, 1_000_000].map(count), ["0", "999", "1,000", "30,000", "1,000,000"]);
    }
}
