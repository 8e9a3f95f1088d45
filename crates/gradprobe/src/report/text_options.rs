//! How texts of a check are written.

/// How the text is written.
#[derive(Clone, Copy, Debug)]
pub struct CheckTextOptions {
    /// Colours and bold by ANSI sequences.
    pub colour: bool,
    /// Columns to fit in.
    pub width: usize,
    /// Every layer, however many.
    pub all_layers: bool,
}

impl Default for CheckTextOptions {
    fn default() -> Self {
        Self {
            colour: false,
            width: 80,
            all_layers: false,
        }
    }
}
