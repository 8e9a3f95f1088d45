//! The names of things that a specification may mention, and the names its layers get.

use std::collections::HashMap;

/// Activations that mix the elements of a row, which the activations' registry has not.
pub(super) const SOFTMAXES: &[&str] = &["softmax", "log-softmax"];

/// Names taken, and the counters of each scope: `fc1`, `fc2`, `block1.fc1`.
#[derive(Debug, Default)]
pub(super) struct Namer {
    taken: HashMap<String, String>,
    /// The scopes that are open, outermost first: their names, and what they have counted.
    scopes: Vec<Scope>,
}

#[derive(Debug, Default)]
struct Scope {
    prefix: String,
    counts: HashMap<String, usize>,
}

impl Namer {
    pub fn new() -> Self {
        Self {
            taken: HashMap::new(),
            scopes: vec![Scope::default()],
        }
    }

    /// Opens a scope: what is named next is called `prefix.…`.
    pub fn enter(&mut self, prefix: &str) {
        self.scopes.push(Scope {
            prefix: format!("{prefix}."),
            counts: HashMap::new(),
        });
    }

    /// Closes the scope opened last.
    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    /// A full name for something the user did not name: `fc1`, `conv2`.
    pub fn numbered(&mut self, stem: &str, place: &str) -> String {
        loop {
            let Some(scope) = self.scopes.last_mut() else {
                return stem.into();
            };
            let count = scope.counts.entry(stem.to_owned()).or_default();
            *count += 1;
            // `layer1` the second time is no `layer12`.
            let point = if stem.ends_with(|c: char| c.is_ascii_digit()) {
                "."
            } else {
                ""
            };
            let name = format!("{}{stem}{point}{count}", scope.prefix);
            if !self.taken.contains_key(&name) {
                self.taken.insert(name.clone(), place.to_owned());
                return name;
            }
        }
    }

    /// The full name of something the user named, or where that name was taken before.
    pub fn given(&mut self, name: &str, place: &str) -> Result<String, String> {
        let prefix = self.scopes.last().map_or("", |scope| &scope.prefix);
        let full = format!("{prefix}{name}");
        match self.taken.get(&full) {
            Some(earlier) => Err(earlier.clone()),
            None => {
                self.taken.insert(full.clone(), place.to_owned());
                Ok(full)
            }
        }
    }

    /// The name `stem` in this scope, without a number unless it is taken.
    pub fn numbered_once(&mut self, stem: &str) -> String {
        let prefix = self.scopes.last().map_or("", |scope| &scope.prefix);
        let full = format!("{prefix}{stem}");
        self.first_free(&full)
    }

    /// A full name: this one, or with the first number from 2 that makes it new.
    pub fn first_free(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 1;
        while self.taken.contains_key(&free) {
            number += 1;
            free = format!("{name}{number}");
        }
        self.taken.insert(free.clone(), name.to_owned());
        free
    }
}
