//! Numbers for people.

/// `1 event`, `2 events`, `12,345 events`.
pub(crate) fn of(number: u64, one: &str) -> String {
    let plural = match one {
        "entry" => "entries",
        "alias" => "aliases",
        "directory entry" => "directory entries",
        _ if number == 1 => return format!("1 {one}"),
        _ => return format!("{} {one}s", count(number)),
    };
    let noun = if number == 1 { one } else { plural };
    format!("{} {noun}", count(number))
}

/// With commas between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `512 B`, `1.5 KiB`, `12 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut tenths = number.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let unit = UNITS[unit];
    match tenths {
        100.. => format!("{} {unit}", count(tenths / 10)),
        _ => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

/// Bars side by side, the largest value the highest, at most `width` of them: neighbours share one
/// that is as high as the higher.
pub(crate) fn sparkline(values: &[u64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let share = values.len().div_ceil(width.max(1)).max(1);
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    let bars = values.chunks(share).map(|chunk| {
        let value = chunk.iter().copied().max().unwrap_or(0);
        let step = u128::from(value) * 7;
        let step = step.div_ceil(u128::from(highest));
        BARS[usize::try_from(step).unwrap_or(7).min(7)]
    });
    bars.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(of(1, "entry"), "1 entry");
        assert_eq!(of(0, "entry"), "0 entries");
        assert_eq!(of(2, "event"), "2 events");
        assert_eq!(of(2, "alias"), "2 aliases");
    }

    #[test]
    fn bytes_have_two_or_three_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (12 << 10, "12 KiB"),
            (3 << 20, "3.0 MiB"),
            (2000 << 30, "2,000 GiB"),
        ];
        for (number, text) in cases {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn a_line_of_bars_shows_the_highest_and_every_one_that_is_not_zero() {
        assert_eq!(sparkline(&[], 10), "");
        assert_eq!(sparkline(&[0, 0], 10), "▁▁");
        assert_eq!(sparkline(&[0, 1, 100], 10), "▁▂█");
        assert_eq!(sparkline(&[0, 0, 0, 7, 0], 3), "▁█▁");
    }
}
