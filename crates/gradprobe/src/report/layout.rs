//! What the texts have in common: columns, paragraphs, words for counts, shares and sizes.

use super::escape::escape;
use std::io::{self, Write};

/// The columns that a text takes on a terminal.
pub fn columns_of(text: &str) -> usize {
    // Combining marks take no column; nothing written here takes two.
    let combining = |c: char| ('\u{300}'..='\u{36f}').contains(&c);
    text.chars().filter(|&c| !combining(c)).count()
}

/// Breaks a text at spaces, and a word that is longer than a line wherever it must; the first line
/// is indented by `first` columns, the others by `rest`.
pub fn wrapped(text: &str, width: usize, first: usize, rest: usize) -> Vec<String> {
    /// A narrower text would be unreadable.
    const NARROWEST: usize = 20;
    let width = width.max(first.max(rest) + NARROWEST);
    let mut lines = Vec::new();
    let (mut line, mut used, mut empty) = (" ".repeat(first), first, true);
    for word in text.split(' ') {
        let long = columns_of(word);
        if !empty && used + 1 + long > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
            (used, empty) = (rest, true);
        }
        if !empty {
            line.push(' ');
            used += 1;
        }
        if used + long <= width {
            line.push_str(word);
            used += long;
        } else {
            for c in word.chars() {
                if used == width {
                    lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
                    used = rest;
                }
                line.push(c);
                used += 1;
            }
        }
        empty = false;
    }
    lines.push(line);
    lines
}

/// Writes a text on lines of at most `width` columns, the first indented by `first`, the others by
/// `rest`.
///
/// # Errors
/// If the writer fails.
pub fn write_wrapped(
    out: &mut dyn Write,
    text: &str,
    width: usize,
    (first, rest): (usize, usize),
) -> io::Result<()> {
    let mut lines = wrapped(text, width, first, rest).into_iter();
    lines.try_for_each(|line| writeln!(out, "{line}"))
}

/// Writes a paragraph, whose lines but the first are indented a little.
///
/// # Errors
/// If the writer fails.
pub fn write_paragraph(out: &mut dyn Write, text: &str, width: usize) -> io::Result<()> {
    write_wrapped(out, text, width, (0, 2))
}

/// A name as it is shown in at most `room` columns: where it is longer its middle is left out, but
/// for the number of the block, which tells layers of one kind apart: `bert…3…self.query`.
pub fn fitted_name(name: &str, room: usize) -> String {
    let name = escape(name);
    let length = name.chars().count();
    if length <= room {
        return name.into_owned();
    }
    // Of a narrow column the end takes all.
    let most = if room < 20 { 0 } else { room / 4 };
    let first = name.find(['.', '/']).unwrap_or(name.len());
    let head: String = name[..first].chars().take(most).collect();
    let tail = name_end(&name, room - head.chars().count());
    format!("{head}{tail}")
}

/// The end of a name in `room` columns, with the number of its block.
fn name_end(name: &str, room: usize) -> String {
    let length = name.chars().count();
    let end: String = name.chars().skip(length + 1 - room).collect();
    let block = name
        .split(['.', '/'])
        .rfind(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let is_number = |c: char| c.is_ascii_digit();
    match block {
        Some(block) if !end.contains(is_number) => {
            // `…3…self.query`, from the first whole part that fits.
            let left = room.saturating_sub(block.len() + 2);
            let starts = name.match_indices(['.', '/']).map(|(at, _)| at + 1);
            let mut ends = starts.map(|start| &name[start..]);
            match ends.find(|end| end.chars().count() <= left) {
                Some(end) => format!("…{block}…{end}"),
                None => {
                    let end: String = name.chars().skip(length - left.min(length)).collect();
                    format!("…{block}…{end}")
                }
            }
        }
        _ => format!("…{end}"),
    }
}

/// A share in percent: at most five columns, and never 0% or 100% of what is not.
pub fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "0%".into(),
        percent if percent < 0.1 => "<0.1%".into(),
        percent if percent > 99.0 && percent < 100.0 => format!("{:.1}%", percent.min(99.9)),
        percent if percent < 1.0 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

/// 10^log10 with two digits, whatever its size: `3.2e-4001`.
pub fn power_of_ten(log10: f64) -> String {
    let exponent = log10.floor();
    let digits = format!("{:.1}", libm::exp10(log10 - exponent));
    // 9.96 is rounded to two digits before the point.
    let (digits, exponent) = match digits.as_str() {
        "10.0" => ("1.0", exponent + 1.0),
        digits => (digits, exponent),
    };
    format!("{digits}e{exponent}")
}

/// `1 layer`, `2 layers`, `12,345 layers`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{} {noun}s", grouped(count))
    }
}

/// A whole number with its digits in groups of three.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
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
    fn numbers_are_grouped() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(plural(12, "layer"), "12 layers");
        assert_eq!(plural(1, "layer"), "1 layer");
    }

    #[test]
    fn shares_are_never_rounded_to_nothing_or_all() {
        for (share, text) in [
            (0.0, "0%"),
            (1e-9, "<0.1%"),
            (0.004, "0.4%"),
            (0.5, "50%"),
            (0.9999, "99.9%"),
            (1.0, "100%"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn sizes_have_two_digits() {
        for (log10, text) in [
            (-4000.3, "5.0e-4001"),
            (-9.999_99, "1.0e-10"),
            (7.1, "1.3e7"),
        ] {
            assert_eq!(power_of_ten(log10), text);
        }
    }

    #[test]
    fn of_a_long_name_the_ends_and_the_block_are_shown() {
        assert_eq!(fitted_name("layers.0.fc1", 12), "layers.0.fc1");
        assert_eq!(fitted_name("layers.10.fc1", 12), "…yers.10.fc1");
        assert_eq!(fitted_name("a\nb", 9), escape("a\nb"));
        let query = "encoder.layer.3.attention.self.query";
        assert_eq!(fitted_name(query, 16), "…3…self.query");
        assert_eq!(fitted_name(query, 24), "encode…3…self.query");
        assert_eq!(
            fitted_name("encoder.layer.3.attention_projection", 12),
            "…3…rojection"
        );
    }

    #[test]
    fn no_line_is_longer_than_asked() {
        let text = "one two three four five six seven";
        assert_eq!(
            wrapped(text, 22, 0, 2),
            ["one two three four", "  five six seven"]
        );
        let long = "x".repeat(70);
        let lines = wrapped(&format!("a {long} b"), 30, 0, 2);
        assert!(
            lines.iter().all(|line| line.chars().count() <= 30),
            "{lines:?}"
        );
        let joined: String = lines.iter().map(|line| line.trim()).collect();
        assert_eq!(joined.matches('x').count(), 70);
    }
}
