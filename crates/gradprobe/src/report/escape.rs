//! Text that comes from a file, made safe to show on a terminal.

use std::borrow::Cow;
use std::io::{self, Write};

/// The text with control characters (an escape sequence in a layer's name, say), bidirectional
/// overrides and line ends written as `\u{…}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hostile(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Controls a terminal, turns the direction of writing, or cannot be seen.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// JSON on its way to a terminal or a file. JSON itself escapes control characters up to U+001F
/// only; those after them, which stand in strings alone, become `\uXXXX` here.
pub struct SafeJson<'a>(pub &'a mut dyn Write);

impl Write for SafeJson<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The serialiser hands strings over in whole characters.
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(|c| hostile(c) && c != '\n') => {
                for c in text.chars() {
                    if hostile(c) && c != '\n' {
                        write!(self.0, "\\u{:04x}", u32::from(c))?;
                    } else {
                        write!(self.0, "{c}")?;
                    }
                }
            }
            _ => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_shown_and_not_obeyed() {
        assert_eq!(escape("fc1"), "fc1");
        assert_eq!(escape("a\x1b[31mb\nc"), "a\\u{1b}[31mb\\u{a}c");
        assert_eq!(escape("\u{202e}txt"), "\\u{202e}txt");
        assert_eq!(escape("слой"), "слой");
    }

    #[test]
    fn json_is_safe_and_says_the_same() {
        let name = "a\u{1b}\u{9b}31m\u{7f}\u{202e}слой\n";
        let mut bytes = Vec::new();
        serde_json::to_writer_pretty(SafeJson(&mut bytes), &[name]).expect("written");
        let text = String::from_utf8(bytes).expect("text");
        assert!(!text.contains(|c| hostile(c) && c != '\n'), "{text:?}");
        let read: Vec<String> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read, [name]);
    }
}
