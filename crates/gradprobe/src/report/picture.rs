//! A picture as PNG: its SVG drawn by resvg, with a font that travels in the program.

/// Pixels of the PNG for one of the SVG.
#[cfg(feature = "png")]
const ENLARGED: f32 = 2.0;

/// Why there is no PNG.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The program was built without the feature `png`.
    #[error("this build draws no PNG (it lacks the feature `png`); SVG it does")]
    NotBuilt,
    /// The renderer refuses.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
}

/// Draws an SVG of this crate, on white. Its text is set in DejaVu Sans (Latin, Greek, Cyrillic and
/// mathematical signs), whatever fonts the machine has.
///
/// # Errors
/// If the program was built without the feature `png`, or the SVG is none.
#[cfg(feature = "png")]
pub fn png(svg: &str) -> Result<Vec<u8>, PictureError> {
    use resvg::{tiny_skia, usvg};
    const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");
    let drawing = |error: &dyn std::fmt::Display| PictureError::Drawing(error.to_string());
    let mut options = usvg::Options {
        font_family: "DejaVu Sans".into(),
        ..usvg::Options::default()
    };
    let fonts = options.fontdb_mut();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| drawing(&error))?;
    let size = tree.size().to_int_size();
    let extent = |pixels: u32| (pixels as f32 * ENLARGED) as u32;
    let mut pixels = tiny_skia::Pixmap::new(extent(size.width()), extent(size.height()))
        .ok_or_else(|| drawing(&"it has no size"))?;
    pixels.fill(tiny_skia::Color::WHITE);
    let enlarged = tiny_skia::Transform::from_scale(ENLARGED, ENLARGED);
    resvg::render(&tree, enlarged, &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| drawing(&error))
}

/// Says that this build draws none.
///
/// # Errors
/// Always.
#[cfg(not(feature = "png"))]
pub fn png(_svg: &str) -> Result<Vec<u8>, PictureError> {
    Err(PictureError::NotBuilt)
}

#[cfg(all(test, feature = "png"))]
mod tests {
    use super::*;

    /// Pixels that are not white in a picture of a word.
    fn ink(word: &str) -> usize {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"80\" height=\"30\" \
             font-family=\"sans-serif\"><text x=\"5\" y=\"20\">{word}</text></svg>"
        );
        let file = png(&svg).expect("a picture");
        let pixels = resvg::tiny_skia::Pixmap::decode_png(&file).expect("a PNG");
        assert_eq!((pixels.width(), pixels.height()), (160, 60));
        pixels
            .pixels()
            .iter()
            .filter(|pixel| pixel.red() < 128)
            .count()
    }

    #[test]
    fn text_is_drawn_without_any_font_of_the_machine() {
        assert_eq!(ink(""), 0);
        let letters: Vec<usize> = ["edge", "σ_w × σ_b", "χ1 = 1, q* ≤ 2", "градиент"]
            .into_iter()
            .map(ink)
            .collect();
        assert!(letters.iter().all(|&pixels| pixels > 150), "{letters:?}");
        // A box for a missing letter is as wide for each: these differ.
        assert_ne!(ink("σ"), ink("χ"));
        assert!(matches!(png("no picture"), Err(PictureError::Drawing(_))));
    }
}
