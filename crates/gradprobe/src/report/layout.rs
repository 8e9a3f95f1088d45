//! What the texts have in common: columns, paragraphs, words for counts.

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
