//! Holds the files of the crates against circles: of two files, one at most needs the other, also by way
//! of further files.
//!
//! A file needs another where a path in its code, outside tests, leads to what is defined there.
//! Where a module passes a name on (`pub use`), the path leads to where it is from. What a module has in
//! files of its own folder are its parts: it may use them, and they may use what it defines.

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// A module's path from the root of its crate.
type Module = Vec<String>;

/// What stands in a file at the level of a module.
#[derive(Default)]
struct Names {
    /// What it defines.
    defined: BTreeSet<String>,
    /// What it takes from elsewhere, by the name it has here, and whether others may take it from here.
    taken: HashMap<String, (Vec<String>, bool)>,
    /// Where it takes everything from, and passes it on.
    globs: Vec<Vec<String>>,
    /// Paths in its code.
    paths: Vec<Vec<String>>,
}

/// Checks the crates whose sources lie in these folders.
///
/// # Errors
/// If there is a circle, naming its files and what ties them; or a file that cannot be read.
pub fn check(root: &Path, sources: &[&str]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for source in sources {
        let mut files = Vec::new();
        crate::layers::collect(&root.join(source), &mut files)?;
        let mut modules = BTreeMap::new();
        for file in &files {
            let inside = file.strip_prefix(root.join(source)).unwrap_or(file);
            let Some(module) = module(inside) else {
                continue;
            };
            let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
            let names = names(&text).map_err(|error| failed(&error))?;
            modules.insert(module, (inside.to_path_buf(), names));
        }
        wrong.extend(circles(&modules));
    }
    eprintln!("== circles: {} crates", sources.len());
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// The module that a file is; none for files of tests.
fn module(inside: &Path) -> Option<Module> {
    let mut parts: Vec<String> = inside
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.iter().any(|part| part == "tests" || part == "main") {
        return None;
    }
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    Some(parts)
}

fn names(text: &str) -> Result<Names, syn::Error> {
    let mut names = Names::default();
    for item in syn::parse_file(text)?.items {
        add(&item, &mut names);
    }
    Ok(names)
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = |list: &syn::MetaList| list.tokens.to_string() == "test";
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(is_test)
    })
}

fn add(item: &Item, names: &mut Names) {
    let (attributes, ident) = match item {
        Item::Const(it) => (&it.attrs, Some(&it.ident)),
        Item::Enum(it) => (&it.attrs, Some(&it.ident)),
        Item::Fn(it) => (&it.attrs, Some(&it.sig.ident)),
        Item::Macro(it) => (&it.attrs, it.ident.as_ref()),
        Item::Static(it) => (&it.attrs, Some(&it.ident)),
        Item::Struct(it) => (&it.attrs, Some(&it.ident)),
        Item::Trait(it) => (&it.attrs, Some(&it.ident)),
        Item::Type(it) => (&it.attrs, Some(&it.ident)),
        Item::Impl(it) => (&it.attrs, None),
        Item::Mod(it) => (&it.attrs, None),
        Item::Use(it) => (&it.attrs, None),
        _ => return,
    };
    if is_for_tests(attributes) {
        return;
    }
    if let Some(ident) = ident {
        names.defined.insert(ident.to_string());
    }
    match item {
        Item::Use(item) => add_use(item, names),
        // Inline modules are parts of their file.
        Item::Mod(module) => {
            for item in module.content.iter().flat_map(|(_, items)| items) {
                add(item, names);
            }
        }
        item => Paths(names).visit_item(item),
    }
}

fn add_use(item: &ItemUse, names: &mut Names) {
    let passes_on = !matches!(item.vis, Visibility::Inherited);
    let mut open = vec![(Vec::new(), &item.tree)];
    while let Some((mut path, tree)) = open.pop() {
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                open.push((path, &step.tree));
            }
            UseTree::Group(group) => {
                open.extend(group.items.iter().map(|tree| (path.clone(), tree)));
            }
            UseTree::Glob(_) if passes_on => names.globs.push(path),
            UseTree::Glob(_) => names.paths.push(path),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                if name != "self" {
                    path.push(name);
                }
                let last = path.last().cloned().unwrap_or_default();
                names.taken.insert(last, (path, passes_on));
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                let name = rename.rename.to_string();
                names.taken.insert(name, (path, passes_on));
            }
        }
    }
}

/// Adds the paths of some code to what is known of its file.
struct Paths<'n>(&'n mut Names);

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|it| it.ident.to_string());
        self.0.paths.push(segments.collect());
        visit::visit_path(self, path);
    }

    /// Those of `pub(super)` and `pub(in …)` lead nowhere.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        add_use(item, self.0);
    }
}

type Modules = BTreeMap<Module, (PathBuf, Names)>;

/// Every circle, in words.
fn circles(modules: &Modules) -> Vec<String> {
    let mut needs: DiGraphMap<&Module, ()> = DiGraphMap::new();
    let mut ties: BTreeMap<(&Module, &Module), BTreeSet<String>> = BTreeMap::new();
    for (module, (_, names)) in modules {
        // What a module passes on it does not need itself.
        let taken = names.taken.values().filter(|(_, passes_on)| !passes_on);
        let paths = taken.map(|(path, _)| path).chain(&names.paths);
        for path in paths {
            let Some((other, _)) = leads_to(modules, module, path, 0) else {
                continue;
            };
            let is_part = other.starts_with(module);
            if !is_part {
                needs.add_edge(module, other, ());
                let named = path.last().cloned().unwrap_or_default();
                ties.entry((module, other)).or_default().insert(named);
            }
        }
    }
    let file = |module: &Module| modules[module].0.display().to_string();
    let circles = tarjan_scc(&needs).into_iter().filter(|it| it.len() > 1);
    let told = circles.map(|mut circle| {
        circle.sort();
        let mut text = format!("a circle of {} files:", circle.len());
        for ((from, to), named) in &ties {
            if circle.contains(from) && circle.contains(to) {
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                text += &format!(
                    "\n  {} needs {}: {}",
                    file(from),
                    file(to),
                    named.join(", ")
                );
            }
        }
        text
    });
    told.collect()
}

/// The module that defines what a path in another one names, and the rest of the path; none where
/// that is not in this crate.
fn leads_to<'m>(
    modules: &'m Modules,
    from: &Module,
    path: &[String],
    depth: usize,
) -> Option<(&'m Module, Vec<String>)> {
    /// Names that are passed on from module to module in a circle lead nowhere.
    const DEEPEST: usize = 16;
    if depth > DEEPEST {
        return None;
    }
    let mut at = from.clone();
    let mut rest = path;
    let mut is_rooted = false;
    while let Some((step, more)) = rest.split_first() {
        match &step[..] {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop()?;
            }
            _ => break,
        }
        is_rooted = true;
        rest = more;
    }
    loop {
        let (own, (_, names)) = modules.get_key_value(&at)?;
        let Some((step, more)) = rest.split_first() else {
            return Some((own, Vec::new()));
        };
        let below: Module = at.iter().chain([step]).cloned().collect();
        if modules.contains_key(&below) && (is_rooted || path.len() > 1) {
            at = below;
            rest = more;
            is_rooted = true;
            continue;
        }
        if names.defined.contains(step) {
            return Some((own, rest.to_vec()));
        }
        if let Some((taken, _)) = names.taken.get(step) {
            let taken: Vec<String> = taken.iter().chain(more).cloned().collect();
            // `use x::y` of another crate, or the path itself.
            return (taken[..] != *path).then(|| leads_to(modules, &at, &taken, depth + 1))?;
        }
        let mut globs = names.globs.iter();
        let passed_on = globs.find_map(|glob| {
            let path: Vec<String> = glob.iter().chain(rest).cloned().collect();
            leads_to(modules, &at, &path, depth + 1)
        });
        // What is not seen there is made by a macro.
        return passed_on.or_else(|| is_rooted.then(|| (own, rest.to_vec())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> Modules {
        let files = files.iter().map(|(file, text)| {
            let path = PathBuf::from(file);
            let module = module(&path).expect("no test");
            (module, (path, names(text).expect("it parses")))
        });
        files.collect()
    }

    #[test]
    fn files_that_need_each_other_are_a_circle() {
        let modules = crate_of(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; fn f() { super::c::g(); }"),
            ("c.rs", "use super::a::A; pub fn g() {}"),
        ]);
        let found = circles(&modules);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("c.rs needs a.rs: A"), "{found:?}");
    }

    #[test]
    fn what_a_folder_passes_on_ties_to_where_it_is_from_and_its_files_are_parts_of_it() {
        let folder = "mod x; mod y; pub use x::X; pub trait Row {}";
        let no_circle = crate_of(&[
            ("lib.rs", "pub mod m;"),
            ("m/mod.rs", folder),
            ("m/x.rs", "use super::Row; pub struct X; impl Row for X {}"),
            ("m/y.rs", "use super::X; pub fn y(_: X) {}"),
        ]);
        assert_eq!(circles(&no_circle), [""; 0]);
        let through_another = crate_of(&[
            ("lib.rs", "pub mod m;"),
            ("m/mod.rs", "mod x; mod all; pub trait Row {}"),
            ("m/all.rs", "use super::x::X; pub fn all(_: X) {}"),
            (
                "m/x.rs",
                "use super::all::all; pub struct X; impl super::Row for X {}",
            ),
        ]);
        assert_eq!(circles(&through_another).len(), 1);
    }

    #[test]
    fn tests_tie_nothing() {
        let modules = crate_of(&[
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
            ),
            ("b.rs", "use crate::a::A; pub struct B(A);"),
        ]);
        assert_eq!(circles(&modules), [""; 0]);
    }
}
