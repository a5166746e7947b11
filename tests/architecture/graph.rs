//! Which file imports which, followed through re-exports, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths;

/// The modules of the crate: each by its path (`run::gpus`), with its file and the names that its `use` items bind.
pub(crate) struct Modules {
    files: BTreeMap<Vec<String>, String>,
    bound: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

impl Modules {
    /// Reads the modules out of parsed files, given by their paths below src/.
    pub(crate) fn of<'a>(sources: impl Iterator<Item = (&'a str, &'a syn::File)> + Clone) -> Modules {
        let files = sources.clone().map(|(name, _)| (module_of(name), name.to_owned())).collect();
        let mut modules = Modules { files, bound: BTreeMap::new() };
        for (name, file) in sources {
            let module = module_of(name);
            let written = paths::bound(file);
            // A `use` may begin with a name that another one binds.
            for _ in 0..2 {
                let bound =
                    written.iter().filter_map(|(name, path)| Some((name.clone(), modules.absolute(&module, path)?)));
                let bound = bound.collect();
                modules.bound.insert(module.clone(), bound);
            }
        }
        modules
    }

    /// Returns a path that stands in a module as one from the root of the crate. `None` for one into another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let first = path.first()?;
        Some(match first.as_str() {
            "crate" | "dfwfd" => path[1..].to_vec(),
            "self" => [module, &path[1..]].concat(),
            "super" => [&module[..module.len().saturating_sub(supers)], &path[supers..]].concat(),
            _ if self.files.contains_key(&[module, std::slice::from_ref(first)].concat()) => [module, path].concat(),
            _ => [self.bound.get(module)?.get(first)?, &path[1..]].concat(),
        })
    }

    /// Finds the file that defines what a path names, through the `use` items on the way.
    fn file(&self, path: &[String], depth: usize) -> Option<&str> {
        let mut module: Vec<String> = Vec::new();
        for (at, segment) in path.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(segment)].concat();
            if self.files.contains_key(&child) {
                module = child;
                continue;
            }
            let bound = self.bound.get(&module).and_then(|bound| bound.get(segment));
            // A `use` may bind a macro and a module of one name: a chain that does not end is not followed.
            if let Some(target) = bound.filter(|_| depth < 8) {
                return self.file(&[target.as_slice(), &path[at + 1..]].concat(), depth + 1);
            }
            break;
        }
        self.files.get(&module).map(String::as_str)
    }

    /// Returns the files that a file imports, without those above and below it in the tree of modules.
    pub(crate) fn imports(&self, name: &str, file: &syn::File) -> BTreeSet<String> {
        let module = module_of(name);
        let named = paths::as_written(file);
        let found = named.iter().filter_map(|used| self.file(&self.absolute(&module, &used.path)?, 0));
        let is_kin = |other: &str| {
            let other = module_of(other);
            other.starts_with(&module) || module.starts_with(&other)
        };
        found.filter(|other| !is_kin(other)).map(str::to_owned).collect()
    }
}

/// Returns the path of a module from the path of its file below src/.
fn module_of(name: &str) -> Vec<String> {
    let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// Returns every group of files that reach each other: the strongly connected components of more than one file.
pub(crate) fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|name| (name.as_str(), reachable(imports, name))).collect();
    let mut found = BTreeSet::new();
    for (name, others) in &reach {
        let circle: Vec<String> =
            others.iter().filter(|other| reach[*other].contains(name)).map(|other| (*other).to_owned()).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable<'a>(imports: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut ahead: Vec<&str> = imports[from].iter().map(String::as_str).collect();
    while let Some(name) = ahead.pop() {
        if let (true, Some(next)) = (seen.insert(name), imports.get(name)) {
            ahead.extend(next.iter().map(String::as_str));
        }
    }
    seen
}

fn imports_of(sources: &[(&str, &str)]) -> BTreeMap<String, BTreeSet<String>> {
    let parsed: Vec<(&str, syn::File)> =
        sources.iter().map(|(name, text)| (*name, syn::parse_str(text).unwrap())).collect();
    let modules = Modules::of(parsed.iter().map(|(name, file)| (*name, file)));
    parsed.iter().map(|(name, file)| ((*name).to_owned(), modules.imports(name, file))).collect()
}

#[test]
fn a_planted_circle_is_found_through_a_bound_name() {
    let imports = |leases: &str| {
        imports_of(&[
            ("lib.rs", "mod run;"),
            ("run/mod.rs", "mod gpus; mod leases;"),
            ("run/gpus/mod.rs", "pub mod count;"),
            ("run/gpus/count.rs", "use crate::run::leases::Leases; pub struct Gpu; pub fn gpus(_: Leases) {}"),
            ("run/leases.rs", leases),
        ])
    };
    let circle = [vec!["run/gpus/count.rs".to_owned(), "run/leases.rs".to_owned()]];
    for leases in [
        "use super::gpus; pub struct Leases; fn f() { gpus::count::gpus(Leases) }",
        "use super::gpus as cards; pub struct Leases(cards::count::Gpu);",
        "use crate::run; pub struct Leases; fn f() -> R<run::gpus::count::Gpu> { R }",
        "pub struct Leases; fn f() { use super::gpus; log!(\"{}\", gpus::count::gpus(Leases)); }",
        "use super::gpus; use gpus::count; pub struct Leases(count::Gpu);",
    ] {
        assert_eq!(circles(&imports(leases)), circle, "{leases}");
    }
    let straight = imports("use super::gpus; pub struct Leases; fn f(gpus: gpus::Count) { gpus.count() }");
    assert_eq!(straight["run/leases.rs"], BTreeSet::from(["run/gpus/mod.rs".to_owned()]));
    assert!(circles(&straight).is_empty());
}

#[test]
fn a_planted_circle_is_found_through_a_re_export() {
    let imports = imports_of(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a/mod.rs", "mod deep; pub use deep::Thing; use crate::c::Other;"),
        ("a/deep.rs", "use super::helper; pub struct Thing(crate::b::Part);"),
        ("b.rs", "use crate::c; pub struct Part; fn f() -> c::Other { c::Other }"),
        ("c.rs", "pub struct Other; fn f(_: crate::a::Thing) {}"),
    ]);
    assert_eq!(imports["a/deep.rs"], BTreeSet::from(["b.rs".to_owned()]), "a parent is no import");
    assert_eq!(imports["c.rs"], BTreeSet::from(["a/deep.rs".to_owned()]), "a re-export is followed");
    assert_eq!(circles(&imports), [vec!["a/deep.rs".to_owned(), "b.rs".to_owned(), "c.rs".to_owned()]]);
    let mut mended = imports;
    mended.get_mut("c.rs").unwrap().clear();
    assert!(circles(&mended).is_empty());
}
