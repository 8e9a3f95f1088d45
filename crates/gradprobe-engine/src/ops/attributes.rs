//! The attributes of a node, and reading them with every mistake named.

use super::OpError;
use std::collections::BTreeMap;

/// An attribute of an op, as a file gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A word.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Real numbers.
    Floats(Vec<f64>),
}

/// The attributes of a node by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// Reads attributes one by one; [`finish`](Self::finish) then refuses what nobody asked for.
#[derive(Debug)]
pub(super) struct AttributeReader<'a> {
    attributes: &'a Attributes,
    known: Vec<&'static str>,
}

impl<'a> AttributeReader<'a> {
    pub(super) fn new(attributes: &'a Attributes) -> Self {
        Self {
            attributes,
            known: Vec::new(),
        }
    }

    fn get(&mut self, name: &'static str) -> Option<&'a Attribute> {
        self.known.push(name);
        self.attributes.get(name)
    }

    pub(super) fn int(&mut self, name: &'static str, default: i64) -> Result<i64, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(&Attribute::Int(value)) => Ok(value),
            Some(other) => Err(wrong(name, "a whole number", other)),
        }
    }

    /// A whole number of at least `least`.
    pub(super) fn size(
        &mut self,
        name: &'static str,
        default: usize,
        least: usize,
    ) -> Result<usize, OpError> {
        let expected = || format!("a whole number of at least {least}");
        match self.get(name) {
            None => Ok(default),
            Some(attribute @ &Attribute::Int(value)) => usize::try_from(value)
                .ok()
                .filter(|&size| size >= least)
                .ok_or_else(|| wrong(name, &expected(), attribute)),
            Some(other) => Err(wrong(name, &expected(), other)),
        }
    }

    /// 0 or 1.
    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Int(0)) => Ok(false),
            Some(Attribute::Int(1)) => Ok(true),
            Some(other) => Err(wrong(name, "0 or 1", other)),
        }
    }

    /// A finite real number; a whole one will do.
    pub(super) fn float(&mut self, name: &'static str, default: f64) -> Result<f64, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(&Attribute::Float(value)) if value.is_finite() => Ok(value),
            Some(&Attribute::Int(value)) => Ok(value as f64),
            Some(other) => Err(wrong(name, "a finite number", other)),
        }
    }

    /// A real number that may be infinite; a whole one will do.
    pub(super) fn bound(&mut self, name: &'static str, default: f64) -> Result<f64, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(&Attribute::Float(value)) if !value.is_nan() => Ok(value),
            Some(&Attribute::Int(value)) => Ok(value as f64),
            Some(other) => Err(wrong(name, "a number", other)),
        }
    }

    /// A list of finite real numbers, empty where it is not given; whole ones will do.
    pub(super) fn floats(&mut self, name: &'static str) -> Result<Vec<f64>, OpError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Attribute::Ints(values)) => Ok(values.iter().map(|&value| value as f64).collect()),
            Some(Attribute::Floats(values)) if values.iter().all(|value| value.is_finite()) => {
                Ok(values.clone())
            }
            Some(other) => Err(wrong(name, "a list of finite numbers", other)),
        }
    }

    pub(super) fn text(
        &mut self,
        name: &'static str,
        default: &'static str,
    ) -> Result<&'a str, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => Ok(value),
            Some(other) => Err(wrong(name, "a word", other)),
        }
    }

    /// A list of whole numbers, empty where it is not given.
    pub(super) fn ints(&mut self, name: &'static str) -> Result<Vec<i64>, OpError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Attribute::Ints(values)) => Ok(values.clone()),
            Some(other) => Err(wrong(name, "a list of whole numbers", other)),
        }
    }

    /// A list of whole numbers of at least `least`, empty where it is not given.
    pub(super) fn sizes(
        &mut self,
        name: &'static str,
        least: usize,
    ) -> Result<Vec<usize>, OpError> {
        let expected = format!("a list of whole numbers of at least {least}");
        let sizes = self.ints(name)?;
        let fits = |value: &i64| {
            usize::try_from(*value)
                .ok()
                .filter(|&size| size >= least)
                .ok_or_else(|| OpError::Attribute {
                    name,
                    expected: expected.clone(),
                    got: value.to_string(),
                })
        };
        sizes.iter().map(fits).collect()
    }

    /// Refuses an attribute that was not read.
    pub(super) fn finish(self) -> Result<(), OpError> {
        let unknown = self
            .attributes
            .keys()
            .find(|name| !self.known.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some(name) => Err(OpError::UnknownAttribute {
                name: name.clone(),
                known: self.known.iter().map(|&name| name.into()).collect(),
            }),
        }
    }
}

pub(super) fn wrong(name: &'static str, expected: &str, got: &Attribute) -> OpError {
    OpError::Attribute {
        name,
        expected: expected.into(),
        got: match got {
            Attribute::Int(value) => value.to_string(),
            Attribute::Float(value) => value.to_string(),
            Attribute::Text(value) => format!("{value:?}"),
            Attribute::Ints(values) => format!("{values:?}"),
            Attribute::Floats(values) => format!("{values:?}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_and_an_unknown_name_are_named() {
        let attributes = Attributes::from([
            ("axis".to_string(), Attribute::Text("two\n".into())),
            ("axes".to_string(), Attribute::Ints(vec![1, -2])),
        ]);
        let mut reader = AttributeReader::new(&attributes);
        let error = reader.int("axis", 0).expect_err("a word is no number");
        assert_eq!(
            error.to_string(),
            r#"axis is "two\n", expected a whole number"#
        );
        let error = reader.sizes("axes", 0).expect_err("-2 is no size");
        assert_eq!(
            error.to_string(),
            "axes is -2, expected a list of whole numbers of at least 0"
        );
        let attributes = Attributes::from([("stride".to_string(), Attribute::Int(1))]);
        let mut reader = AttributeReader::new(&attributes);
        assert_eq!(reader.ints("strides"), Ok(vec![]));
        assert_eq!(reader.size("group", 1, 1), Ok(1));
        let error = reader.finish().expect_err("nobody reads `stride`");
        assert_eq!(
            error.to_string(),
            r#"has no attribute "stride"; it has strides, group"#
        );
    }
}
