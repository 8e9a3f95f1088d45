//! Charts as SVG: axes with round ticks, curves, filled areas, names.
//!
//! Written by hand so that the picture needs no script, no font and no other file.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 176.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What stands beside its end.
    pub name: String,
    /// Its points, in order; a gap where one is not finite.
    pub points: Vec<(f64, f64)>,
    /// `#rrggbb`.
    pub colour: &'static str,
    /// In pixels.
    pub thickness: f64,
    /// Dashed?
    pub dashed: bool,
}

/// A point with a name.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub at: (f64, f64),
    /// What stands beside it.
    pub name: String,
    /// Filled, or only its outline?
    pub filled: bool,
}

/// A rectangle of the plane, filled.
#[derive(Clone, Debug)]
pub struct Area {
    /// A corner.
    pub from: (f64, f64),
    /// The other.
    pub to: (f64, f64),
    /// `#rrggbb`.
    pub colour: String,
    /// What a pointer over it is told.
    pub name: String,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The question it answers.
    pub title: String,
    /// What is along the bottom.
    pub x_name: String,
    /// What is along the side.
    pub y_name: String,
    /// The ends of the axes.
    pub x: (f64, f64),
    /// The ends of the axes.
    pub y: (f64, f64),
    /// Rectangles under everything else.
    pub areas: Vec<Area>,
    /// Squares of these colours stand for these words below the list of curves.
    pub colours: Vec<(String, String)>,
    /// The curves, in the order they are drawn and listed.
    pub curves: Vec<Curve>,
    /// The points.
    pub marks: Vec<Mark>,
    /// Words in the plane.
    pub words: Vec<((f64, f64), String)>,
}

impl Chart {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = (x - self.x.0) / (self.x.1 - self.x.0);
        let up = (y - self.y.0) / (self.y.1 - self.y.0);
        (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" \
             role=\"img\">\n<title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"28\" font-size=\"16\" fill=\"#1f2328\">{title}</text>\n",
            title = text(&self.title)
        );
        for area in &self.areas {
            self.area(&mut svg, area);
        }
        self.axes(&mut svg);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let _ = writeln!(
            svg,
            "<clipPath id=\"plane\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>\n\
             <g clip-path=\"url(#plane)\">",
            right - LEFT,
            bottom - TOP
        );
        for curve in &self.curves {
            self.curve(&mut svg, curve);
        }
        svg.push_str("</g>\n");
        for (at, words) in &self.words {
            let (x, y) = self.place(*at);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" fill=\"#59636e\" \
                 font-style=\"italic\">{}</text>",
                text(words)
            );
        }
        let mut named: Vec<(f64, f64, f64)> = Vec::new();
        for mark in &self.marks {
            let (x, y) = self.place(mark.at);
            // A name goes up by a line until it meets no other.
            let width = 7.5 * mark.name.chars().count() as f64;
            let mut base = y - 8.0;
            let meets = |base: f64| {
                named.iter().any(|&(from, to, other)| {
                    x + 8.0 < to && from < x + 8.0 + width && (base - other).abs() < 14.0
                })
            };
            while meets(base) && base > TOP + 28.0 {
                base -= 15.0;
            }
            named.push((x + 8.0, x + 8.0 + width, base));
            let fill = if mark.filled { "#1f2328" } else { "#ffffff" };
            let halo = if self.areas.is_empty() {
                ""
            } else {
                " stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\""
            };
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{fill}\" stroke=\"#1f2328\" \
                 stroke-width=\"1.5\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#1f2328\"{halo}>{}</text>",
                x + 8.0,
                base,
                text(&mark.name)
            );
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn area(&self, svg: &mut String, area: &Area) {
        let ((left, low), (right, high)) = (self.place(area.from), self.place(area.to));
        // Neighbours overlap by a little: a renderer that smooths edges shows no seam.
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.2}\" y=\"{high:.2}\" width=\"{:.2}\" height=\"{:.2}\" \
             fill=\"{}\"><title>{}</title></rect>",
            right - left + 0.3,
            low - high + 0.3,
            area.colour,
            text(&area.name)
        );
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in ticks(self.x) {
            let (x, _) = self.place((tick, self.y.0));
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#e6e8eb\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#59636e\">{}</text>",
                bottom + 18.0,
                label(tick)
            );
        }
        for tick in ticks(self.y) {
            let (_, y) = self.place((self.x.0, tick));
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e6e8eb\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#59636e\">{}</text>",
                LEFT - 8.0,
                y + 4.5,
                label(tick)
            );
        }
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\" fill=\"none\" \
             stroke=\"#8c959f\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#1f2328\">{}</text>\n\
             <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\" \
             fill=\"#1f2328\">{}</text>",
            right - LEFT,
            bottom - TOP,
            0.5 * (LEFT + right),
            HEIGHT - 14.0,
            text(&self.x_name),
            0.5 * (TOP + bottom),
            text(&self.y_name)
        );
    }

    fn curve(&self, svg: &mut String, curve: &Curve) {
        let mut path = String::new();
        let mut drawing = false;
        for &point in &curve.points {
            let (x, y) = self.place(point);
            if !(x.is_finite() && y.is_finite()) {
                drawing = false;
                continue;
            }
            let verb = if drawing { 'L' } else { 'M' };
            // What lies far outside is clipped all the same.
            let (x, y) = (x.clamp(-1e4, 1e4), y.clamp(-1e4, 1e4));
            let _ = write!(path, "{verb}{x:.2} {y:.2}");
            drawing = true;
        }
        if path.is_empty() {
            return;
        }
        let dashes = if curve.dashed {
            " stroke-dasharray=\"6 4\""
        } else {
            ""
        };
        if !self.areas.is_empty() {
            // Seen on areas of its own colour.
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"#ffffff\" stroke-width=\"{}\"/>",
                curve.thickness + 2.0
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{dashes}/>",
            curve.colour, curve.thickness
        );
    }

    fn legend(&self, svg: &mut String) {
        let x = WIDTH - RIGHT + 14.0;
        for (row, curve) in self
            .curves
            .iter()
            .filter(|curve| !curve.name.is_empty())
            .enumerate()
        {
            let y = TOP + 10.0 + 20.0 * row as f64;
            let dashes = if curve.dashed {
                " stroke-dasharray=\"6 4\""
            } else {
                ""
            };
            let _ = writeln!(
                svg,
                "<line x1=\"{x}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{}\" \
                 stroke-width=\"{}\"{dashes}/>\n<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#1f2328\">{}</text>",
                x + 24.0,
                curve.colour,
                curve.thickness,
                x + 31.0,
                y + 4.5,
                text(&curve.name)
            );
        }
        let listed = self.curves.iter().filter(|curve| !curve.name.is_empty());
        let mut y = TOP + 18.0 + 20.0 * listed.count() as f64;
        for (colour, words) in &self.colours {
            let square = if colour.is_empty() {
                String::new()
            } else {
                format!(
                    "<rect x=\"{x}\" y=\"{:.1}\" width=\"24\" height=\"14\" fill=\"{colour}\" \
                     stroke=\"#d0d7de\"/>",
                    y - 7.0
                )
            };
            let indent = if colour.is_empty() { 0.0 } else { 31.0 };
            let _ = writeln!(
                svg,
                "{square}<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#1f2328\">{}</text>",
                x + indent,
                y + 4.5,
                text(words)
            );
            y += 18.0;
        }
    }
}

/// Text for XML.
fn text(words: &str) -> String {
    let mut safe = String::with_capacity(words.len());
    for c in super::escape::escape(words).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Round numbers, about six, between two ends.
fn ticks((from, to): (f64, f64)) -> Vec<f64> {
    let rough = (to - from) / 6.0;
    if !(rough > 0.0 && rough.is_finite()) {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

fn label(tick: f64) -> String {
    let text = format!("{tick:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".into()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks((0.0, 3.0)), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(label(0.30000000000000004), "0.3");
        assert!(ticks((1.0, 1.0)).is_empty());
    }

    #[test]
    fn what_a_user_wrote_is_no_markup() {
        let chart = Chart {
            title: "<script>&\u{1b}".into(),
            x_name: String::new(),
            y_name: String::new(),
            x: (0.0, 1.0),
            y: (0.0, 1.0),
            areas: vec![],
            colours: vec![],
            curves: vec![],
            marks: vec![],
            words: vec![],
        };
        let svg = chart.svg();
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;&amp;\\u{1b}"));
    }
}
