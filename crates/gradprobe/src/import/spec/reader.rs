//! Reading a table of TOML key by key, every mistake with its place and a suggestion.

use super::error::{SpecError, SpecErrorKind as Kind};
use crate::data;
use std::num::IntErrorKind;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Value<'i> = Spanned<DeValue<'i>>;
pub(super) type Result<T> = std::result::Result<T, SpecError>;

/// The longest piece of a user's text that a message repeats.
const LONGEST_QUOTE: usize = 40;

/// `-` and `_` are the same in keys and names.
pub(super) fn normalised(text: &str) -> String {
    text.replace('_', "-")
}

/// A piece of a user's text in backquotes, on one line, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    data::quoted(text, LONGEST_QUOTE)
}

/// Names in a row: `` `a`, `b` or `c` ``.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// The name nearest to what was written, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const NEAR: f64 = 0.55;
    // The distance takes time in proportion to the product of the lengths.
    if written.len() > 64 {
        return None;
    }
    let written = normalised(written).to_lowercase();
    names
        .into_iter()
        .map(|name| {
            (
                strsim::normalized_damerau_levenshtein(&written, &normalised(name).to_lowercase()),
                name,
            )
        })
        .filter(|&(similarity, _)| similarity >= NEAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// "did you mean …?", or else what there is.
pub(super) fn suggestion<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    match nearest(written, names.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", listed(names)),
    }
}

/// What a value is, for "got …".
pub(super) fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(number) => quoted(&number.to_string()),
        DeValue::Float(number) => quoted(&number.to_string()),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A value with the key it stands under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a, 'i> {
    /// The key, for messages.
    pub key: &'a str,
    pub value: &'a Value<'i>,
}

impl<'a, 'i> Field<'a, 'i> {
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    fn inner(&self) -> &'a DeValue<'i> {
        self.value.get_ref()
    }

    /// The mistake of a value of the wrong type.
    pub fn wrong_type(&self, expected: &str) -> SpecError {
        let (key, got) = (self.key, described(self.inner()));
        SpecError::new(
            Kind::WrongType,
            format!("`{key}`: expected {expected}, got {got}"),
        )
        .at(self.span())
        .label(format!("expected {expected}"))
    }

    /// The mistake of a value of the right type that is not accepted.
    pub fn wrong_value(&self, expected: &str) -> SpecError {
        self.wrong_type(expected).of_kind(Kind::Value)
    }

    pub fn text(&self, expected: &str) -> Result<&'a str> {
        self.inner()
            .as_str()
            .ok_or_else(|| self.wrong_type(expected))
    }

    pub fn flag(&self) -> Result<bool> {
        self.inner()
            .as_bool()
            .ok_or_else(|| self.wrong_type("`true` or `false`"))
    }

    /// For a key whose presence says everything.
    pub fn only_true(&self) -> Result<()> {
        match self.flag()? {
            true => Ok(()),
            false => Err(self.wrong_value("`true`, or no such layer")),
        }
    }

    /// A whole number of at least `least` and at most `most`.
    pub fn whole(&self, least: u64, most: u64) -> Result<u64> {
        let expected = if most == u64::MAX {
            format!("a whole number of at least {least}")
        } else {
            format!("a whole number from {least} to {most}")
        };
        let DeValue::Integer(number) = self.inner() else {
            return Err(self.wrong_type(&expected));
        };
        let value = u64::from_str_radix(number.as_str(), number.radix());
        match value {
            Ok(value) if (least..=most).contains(&value) => Ok(value),
            _ => Err(self.wrong_value(&expected)),
        }
    }

    /// A size of at least 1: a width, a number of channels.
    pub fn size(&self) -> Result<usize> {
        self.size_from(1)
    }

    /// A size of at least `least`.
    pub fn size_from(&self, least: u64) -> Result<usize> {
        // Larger ones would need more memory than any machine has; products of a few of these
        // still fit 128 bits.
        const MOST: u64 = 1 << 40;
        let too_large = || Err(self.wrong_value(&format!("a size of at most {MOST}")));
        if let DeValue::Integer(number) = self.inner()
            && let Err(error) = u64::from_str_radix(number.as_str(), number.radix())
            && *error.kind() == IntErrorKind::PosOverflow
        {
            return too_large();
        }
        match self.whole(least, u64::MAX)? {
            size if size > MOST => too_large(),
            size => Ok(size as usize),
        }
    }

    /// A finite number.
    pub fn number(&self) -> Result<f64> {
        let value: Option<f64> = match self.inner() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(|value| value as f64),
            _ => return Err(self.wrong_type("a number")),
        };
        match value {
            Some(value) if value.is_finite() => Ok(value),
            _ => Err(self.wrong_value("a finite number")),
        }
    }

    /// A finite number that `accepts` accepts.
    pub fn number_that(&self, expected: &str, accepts: impl Fn(f64) -> bool) -> Result<f64> {
        let value = self.number()?;
        if accepts(value) {
            Ok(value)
        } else {
            Err(self.wrong_value(expected))
        }
    }

    pub fn array(&self, expected: &str) -> Result<&'a [Value<'i>]> {
        match self.inner() {
            DeValue::Array(array) => Ok(array),
            _ => Err(self.wrong_type(expected)),
        }
    }

    /// Each element of an array under the same key.
    pub fn elements(&self, expected: &str) -> Result<impl Iterator<Item = Field<'a, 'i>>> {
        let key = self.key;
        Ok(self
            .array(expected)?
            .iter()
            .map(move |value| Field { key, value }))
    }

    pub fn table(&self) -> Option<&'a DeTable<'i>> {
        self.inner().as_table()
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T> {
        let names = words.iter().map(|&(name, _)| name);
        let expected = listed(names.clone());
        let written = self.text(&expected)?;
        let wanted = normalised(written).to_lowercase();
        match words.iter().find(|(name, _)| *name == wanted) {
            Some(&(_, value)) => Ok(value),
            None => Err(self
                .wrong_value(&expected)
                .maybe_help(nearest(written, names).map(|name| format!("did you mean `{name}`?")))),
        }
    }

    /// One size or a pair of them, height first.
    pub fn pair(&self, least: u64) -> Result<[usize; 2]> {
        if let DeValue::Array(array) = self.inner() {
            let [height, width] = &array[..] else {
                return Err(self.wrong_value("one whole number or two, height and width"));
            };
            let key = self.key;
            return Ok([
                Field { key, value: height }.size_from(least)?,
                Field { key, value: width }.size_from(least)?,
            ]);
        }
        let size = self.size_from(least)?;
        Ok([size; 2])
    }
}

/// The fields of a table, as they are asked for; [`finish`](Self::finish) complains of the others.
#[derive(Debug)]
pub(super) struct Fields<'a, 'i> {
    /// Where the table stands, for messages: `[input]`, `layers[3]`.
    pub place: String,
    pub span: Range<usize>,
    entries: Vec<Entry<'a, 'i>>,
    known: Vec<&'static str>,
}

#[derive(Debug)]
struct Entry<'a, 'i> {
    normalised: String,
    key: &'a str,
    key_span: Range<usize>,
    value: &'a Value<'i>,
}

impl<'a, 'i> Fields<'a, 'i> {
    pub fn new(
        place: impl Into<String>,
        span: Range<usize>,
        table: &'a DeTable<'i>,
    ) -> Result<Self> {
        let mut entries: Vec<Entry<'a, 'i>> = Vec::with_capacity(table.len());
        for (key, value) in table.iter() {
            let entry = Entry {
                normalised: normalised(key.get_ref()),
                key: key.get_ref(),
                key_span: key.span(),
                value,
            };
            let twice = entries
                .iter()
                .find(|other| other.normalised == entry.normalised);
            if let Some(other) = twice {
                let later = if other.key_span.start > entry.key_span.start {
                    other
                } else {
                    &entry
                };
                let message = format!("{} is given twice", quoted(later.key));
                return Err(SpecError::new(Kind::UnknownKey, message)
                    .at(later.key_span.clone())
                    .label("`-` and `_` are the same"));
            }
            entries.push(entry);
        }
        entries.sort_by_key(|entry| entry.key_span.start);
        Ok(Self {
            place: place.into(),
            span,
            entries,
            known: Vec::new(),
        })
    }

    /// The fields of a value that has to be a table.
    pub fn of(field: Field<'a, 'i>, place: impl Into<String>, expected: &str) -> Result<Self> {
        match field.table() {
            Some(table) => Self::new(place, field.span(), table),
            None => Err(field.wrong_type(expected)),
        }
    }

    /// The value under a key (written with `-` or `_`).
    pub fn get(&mut self, key: &'static str) -> Option<Field<'a, 'i>> {
        self.known.push(key);
        let wanted = normalised(key);
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.normalised == wanted)?;
        Some(Field {
            key,
            value: entry.value,
        })
    }

    /// The value under one of two spellings of a key.
    pub fn get_either(&mut self, key: &'static str, other: &'static str) -> Option<Field<'a, 'i>> {
        let found = self.get(key);
        let found = found.or_else(|| self.get(other));
        if self.known.last() != Some(&other) {
            self.known.push(other);
        }
        found
    }

    /// The value under a key that has to be there.
    pub fn need(&mut self, key: &'static str, expected: &str) -> Result<Field<'a, 'i>> {
        self.get(key).ok_or_else(|| {
            // A slip in this very key explains more than its absence does.
            let slip = self
                .entries
                .iter()
                .find(|entry| !self.is_known(entry) && nearest(entry.key, [key]).is_some());
            if let Some(entry) = slip {
                return self.unknown(entry).help(format!("did you mean `{key}`?"));
            }
            let message = format!("{} needs `{key}`: {expected}", self.place);
            SpecError::new(Kind::Missing, message)
                .at(self.span.clone())
                .label(format!("`{key}` is missing"))
        })
    }

    /// Is the key there? Does not count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        let wanted = normalised(key);
        self.entries.iter().any(|entry| entry.normalised == wanted)
    }

    /// The table that a key stands in by mistake: one among the values here.
    pub fn holder_of(&self, key: &str) -> Option<(&'a str, Range<usize>)> {
        self.entries.iter().find_map(|entry| {
            let found = entry.value.get_ref().as_table()?.get_key_value(key)?;
            Some((entry.key, found.0.span()))
        })
    }

    /// The keys that are there, with their places.
    pub fn keys(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> + '_ {
        self.entries
            .iter()
            .map(|entry| (entry.key, entry.key_span.clone()))
    }

    /// The place of a key.
    pub fn key_span(&self, key: &str) -> Range<usize> {
        let wanted = normalised(key);
        let found = self.entries.iter().find(|entry| entry.normalised == wanted);
        found.map_or(self.span.clone(), |entry| entry.key_span.clone())
    }

    /// Complains of the first key that nobody asked for.
    pub fn finish(self) -> Result<()> {
        self.finish_with(|_| None)
    }

    /// The same, with a better suggestion for some keys.
    pub fn finish_with(self, hint: impl Fn(&str) -> Option<String>) -> Result<()> {
        let Some(entry) = self.entries.iter().find(|entry| !self.is_known(entry)) else {
            return Ok(());
        };
        let mut known = self.known.clone();
        known.sort_unstable();
        known.dedup();
        let near = nearest(entry.key, known.iter().copied());
        let help = match near {
            Some(name) => format!("did you mean `{name}`?"),
            None => hint(entry.key)
                .unwrap_or_else(|| format!("expected {}", listed(known.iter().copied()))),
        };
        Err(self.unknown(entry).help(help))
    }

    fn is_known(&self, entry: &Entry<'_, '_>) -> bool {
        self.known
            .iter()
            .any(|&known| normalised(known) == entry.normalised)
    }

    fn unknown(&self, entry: &Entry<'_, '_>) -> SpecError {
        let message = format!("unknown key {} in {}", quoted(entry.key), self.place);
        SpecError::new(Kind::UnknownKey, message)
            .at(entry.key_span.clone())
            .label("unknown key")
    }
}
