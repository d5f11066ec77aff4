//! Figures in few characters.

/// `999`, `1.2k`, `34M`: at most five characters for what a machine can do.
pub fn count(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G", "T", "P"])
}

/// The same of a rate that may not be known; a rate that is not zero does not look like it.
pub fn rate(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value > 0.0 && value < 9.95 => format!("{value:.1}"),
        Some(value) => count(value),
    }
}

/// `320µ`, `1.5m`, `2.0` seconds with their unit.
pub fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds.is_infinite() => ">1s".to_owned(),
        Some(seconds) if seconds < 0.9995e-3 => format!("{:.0}µs", seconds * 1e6),
        Some(seconds) if seconds < 0.00995 => format!("{:.1}ms", seconds * 1e3),
        Some(seconds) if seconds < 0.9995 => format!("{:.0}ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1}s"),
    }
}

/// `1 d 2 h`, `3 min`: the two largest units.
pub fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    // What would be rounded up to the next unit is written in it.
    while value >= base - 0.5 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / base, next);
    }
    if unit.is_empty() || value >= 9.95 { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keep_to_five_characters() {
        let shown = [0.0, 999.0, 999.6, 1200.0, 9949.0, 9960.0, 123_456.0, 999_600.0, 4.2e9].map(count);
        assert_eq!(shown, ["0", "999", "1.0k", "1.2k", "9.9k", "10k", "123k", "1.0M", "4.2G"]);
    }

    #[test]
    fn small_rates_are_not_zero() {
        let shown = [None, Some(0.0), Some(0.5), Some(9.94), Some(12.4)].map(rate);
        assert_eq!(shown, ["-", "0", "0.5", "9.9", "12"]);
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        let shown = [None, Some(32e-6), Some(0.0015), Some(0.25), Some(1.25), Some(f64::INFINITY)].map(time);
        assert_eq!(shown, ["-", "32µs", "1.5ms", "250ms", "1.2s", ">1s"]);
        assert_eq!([5, 65, 3700, 90_000].map(uptime), ["5s", "1m 5s", "1h 1m", "1d 1h"]);
    }
}
