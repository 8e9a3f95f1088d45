//! Mistakes in a specification, shown with the text they point into.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use gradprobe::import::spec::SpecError;

/// Longer lines are not shown.
const LONGEST_LINE: usize = 2_000;

/// The message with the line it points into; `None` where there is no such line.
pub fn render(error: &SpecError) -> Option<String> {
    let (line, _) = error.line_and_column()?;
    let (span, text) = (error.span.clone()?, error.text.as_deref()?);
    let start = text[..span.start.min(text.len())]
        .rfind('\n')
        .map_or(0, |end| end + 1);
    let length = text[start..].find('\n').unwrap_or(text.len() - start);
    if length > LONGEST_LINE {
        return None;
    }
    let source: String = text[start..start + length].chars().map(visible).collect();
    // A place that goes on over several lines is marked on its first.
    let begin = span.start - start;
    let end = span
        .end
        .min(start + length)
        .saturating_sub(start)
        .max(begin);
    let path = error.path.as_ref();
    let path = path.map(|path| crate::output::shown(path));
    let mut mark = AnnotationKind::Primary.span(begin..end);
    if !error.label.is_empty() {
        mark = mark.label(error.label.as_str());
    }
    let snippet = Snippet::source(source)
        .line_start(line)
        .path(path.as_deref())
        .annotation(mark);
    let mut report: Group<'_> = Level::ERROR
        .primary_title(error.message.as_str())
        .element(snippet);
    if let Some(help) = &error.help {
        report = report.element(Level::HELP.message(help.as_str()));
    }
    Some(Renderer::styled().render(&[report]))
}

/// A control character as one that takes as many bytes, so that places stay where they are. The
/// renderer knows the older ones, but not all.
fn visible(c: char) -> char {
    match (c.is_control() && c != '\t', c.len_utf8()) {
        (true, 1) => '?',
        (true, _) => '·',
        (false, _) => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradprobe::import::spec::{Network, Specification};

    /// What is shown for a specification called `network.toml`, without colours.
    fn shown(text: &str) -> String {
        let mut error = Specification::parse(text)
            .and_then(Network::new)
            .expect_err("a mistake");
        error.path = Some("network.toml".into());
        let text = render(&error).unwrap_or_else(|| error.to_string());
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_misspelt_key_is_marked_and_corrected() {
        insta::assert_snapshot!(shown(
            "input = 784\nlayers = [\n  { linear = 64, actvation = \"tanh\" },\n  { linear = 10 },\n]\n"
        ));
    }

    #[test]
    fn a_width_of_zero_is_marked() {
        insta::assert_snapshot!(shown("input = 784\nlayers = [{ linear = 0 }]"));
    }

    #[test]
    fn a_place_of_several_lines_is_marked_on_its_first() {
        insta::assert_snapshot!(shown(
            "input = 4\nlayers = [\n  { residual = [\n    { linear = 8 },\n  ] },\n]\n"
        ));
    }

    #[test]
    fn a_mistake_of_toml_itself_is_marked() {
        insta::assert_snapshot!(shown("input = 4\nlayers = [{ linear 4 }]\n"));
    }

    #[test]
    fn an_empty_file_says_what_it_needs() {
        insta::assert_snapshot!(shown(""));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let shown = shown("input = 4\nlayers = [\"a\\u001b[31m\"] # \t\u{9b}31m\u{202e}\n");
        assert!(
            !shown.chars().any(|c| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
    }
}
