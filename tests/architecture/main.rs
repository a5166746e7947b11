//! Who may import whom, and the house rules that a parser can check. Read from the sources, so that no exception goes
//! unnoticed; code under `#[cfg(test)]` is free.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

mod graph;
mod items;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use paths::Used;

/// The modules that each part of the crate may import, with everything below them. Imports go downwards only.
const MAY_IMPORT: [(&str, &[&str]); 24] = [
    ("vocabulary", &[]),
    ("numbers", &[]),
    ("memory", &[]),
    ("retry", &[]),
    ("remote_text", &[]),
    ("data", &["numbers"]),
    ("score", &["numbers"]),
    ("student", &[]),
    ("nemo", &["vocabulary", "retry", "remote_text"]),
    ("mlflow", &["retry", "remote_text"]),
    ("store", &["vocabulary"]),
    ("config", &["vocabulary", "data", "student"]),
    ("source", &["data", "retry", "remote_text", "score::warnings"]),
    ("embedded", &["student", "retry"]),
    (
        "platform",
        &[
            "vocabulary",
            "nemo",
            "embedded",
            "student",
            "config::plan",
            "config::env",
            "config::known_secrets",
            "config::unfit_secrets",
        ],
    ),
    ("run", &["vocabulary", "numbers", "retry", "config::plan", "nemo", "store", "score", "student", "source", "data"]),
    (
        "report",
        &[
            "vocabulary",
            "numbers",
            "config::plan",
            "mlflow",
            "run::across",
            "run::event",
            "run::gpu_time",
            "run::latency",
            "run::outcome",
            "run::rows",
            "run::gates",
            "run::gold",
            "run::liveness",
            "run::check",
            "run::gpus",
            "store",
            "score",
            "source::dataset",
            "data::options",
            "data::workload_type",
            "platform",
        ],
    ),
    (
        "error",
        &[
            "vocabulary",
            "config",
            "run",
            "source::dataset",
            "source::input",
            "source::load",
            "source::ElasticError",
            "nemo",
            "store",
            "platform",
        ],
    ),
    (
        "doctor",
        &[
            "vocabulary",
            "config::plan",
            "config::env",
            "config::secret_variables",
            "data::options",
            "error",
            "nemo",
            "platform",
            "remote_text",
            "report::json",
            "report::text",
            "run",
            "source",
            "store",
        ],
    ),
    ("ui", &["vocabulary", "report::text", "report::json", "error", "run::event"]),
    ("cli", &["ui"]),
    (
        "cmd",
        &[
            "cli",
            "config",
            "data",
            "doctor",
            "error",
            "memory",
            "mlflow",
            "nemo",
            "platform",
            "report",
            "run",
            "score",
            "source",
            "store",
            "student",
            "ui",
            "vocabulary",
        ],
    ),
    ("main", &["cli", "cmd", "error", "ui"]),
    ("lib", &[]),
];

/// Crates that one place alone may use, or each of these for its own database.
const ONLY_IN: [(&str, &str); 12] = [
    ("elasticsearch", "source/elastic/"),
    ("saphyr_parser", "config/yaml.rs"),
    ("serde_yaml", "config/yaml.rs"),
    ("rusqlite", "store/"),
    ("rusqlite", "embedded/data_dir/"),
    ("axum", "embedded/"),
    ("minijinja", "embedded/"),
    ("minijinja", "report/document/"),
    ("indicatif", "ui/"),
    // Its way to write a count.
    ("indicatif", "numbers.rs"),
    ("comfy_table", "report/"),
    ("csv", "data/"),
];

/// The parts that may wait for something remote.
const ASYNC: [&str; 8] = ["nemo", "mlflow", "run", "platform", "embedded", "doctor", "cmd", "main"];

/// Names that say nothing about their subject.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "manager"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of the crate, with its path below src/ and whether it is a test.
fn files() -> Vec<(String, syn::File, String, bool)> {
    let root = sources();
    let mut paths = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    assert!(paths.len() > 100, "the sources are there");
    let mut tests = BTreeSet::new();
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        tests.extend(paths::test_modules(&path, &file));
        files.push((path, file, text));
    }
    files
        .into_iter()
        .map(|(path, file, text)| {
            let is_test =
                path.ancestors().any(|part| tests.contains(part) || tests.contains(&part.with_extension("rs")));
            (path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), file, text, is_test)
        })
        .collect()
}

/// The part of the crate that a file belongs to.
fn part(name: &str) -> &str {
    name.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Returns true if the path is `allowed` or lies below it.
fn covers(allowed: &str, path: &[String]) -> bool {
    let allowed: Vec<&str> = allowed.split("::").collect();
    // A use of the bare parent of what is allowed, such as `crate::run`, names more than it.
    path.len() >= allowed.len() && allowed.iter().zip(path).all(|(allowed, segment)| allowed == segment)
}

#[test]
fn imports_go_downwards_only() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, file, _, is_test) in files() {
        let part = part(&name);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == part) else {
            wrong.push(format!("src/{name} is in no part of the design"));
            continue;
        };
        if is_test {
            continue;
        }
        for used in paths::of_the_crate(&name, &file) {
            seen += 1;
            let other = used.path.first().map_or("", String::as_str);
            if other != part && !allowed.iter().any(|allowed| covers(allowed, &used.path)) {
                wrong.push(format!("src/{name} names crate::{}", used.path.join("::")));
            }
        }
    }
    assert!(seen > 200, "uses are found: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_one_place_alone_may_use() {
    let mut wrong = Vec::new();
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (name, file, _, is_test) in files() {
        for used in paths::as_written(&file) {
            let places: Vec<_> = ONLY_IN.iter().filter(|(krate, _)| used.path[0] == *krate).collect();
            let here = places.iter().find(|(_, place)| name.starts_with(place));
            seen.extend(here.map(|place| **place));
            if here.is_none() && !places.is_empty() && !is_test {
                wrong.push(format!("src/{name} uses {}, which is for {places:?}", used.path[0]));
            }
        }
    }
    assert_eq!(seen.len(), ONLY_IN.len(), "each is used: {seen:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_what_is_remote_is_async() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, file, _, is_test) in files() {
        let waits = paths::is_async(&file);
        seen += usize::from(waits);
        if waits && !is_test && !ASYNC.contains(&part(&name)) && !name.starts_with("source/elastic/") {
            wrong.push(name);
        }
    }
    assert!(seen > 20, "async code is found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_owns_is_short_and_named_by_its_subject() {
    let mut wrong = Vec::new();
    for (name, _, text, is_test) in files() {
        if !text.starts_with("//! ") {
            wrong.push(format!("src/{name} does not open with what it owns"));
        }
        let lines = text.lines().count();
        let most = if name.starts_with("cmd/") { 150 } else { 400 };
        if lines > most && !is_test {
            wrong.push(format!("src/{name} has {lines} lines"));
        }
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap();
        if EMPTY_NAMES.iter().any(|empty| stem.split('_').any(|word| word == *empty)) {
            wrong.push(format!("src/{name} is named after no subject"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn functions_are_short_what_is_public_says_what_it_is_and_imports_are_named() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, file, _, _) in files().iter().filter(|(_, _, _, is_test)| !is_test) {
        let items = items::of(file);
        seen += items.functions.len();
        let long = items.functions.iter().filter(|(_, lines)| *lines > 60);
        wrong.extend(long.map(|(function, lines)| format!("src/{name}: {function} has {lines} lines")));
        wrong.extend(items.undocumented.iter().map(|item| format!("src/{name}: {item} is public without a word")));
        wrong.extend(items.unfollowed.iter().map(|item| format!("src/{name}: {item} hides imports")));
    }
    assert!(seen > 1000, "functions are found: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The words of the code that uses the crate from outside: the binary, the tests and the benchmarks.
fn words_outside() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("tests"), root.join("benches"), root.join("src/main.rs")];
    let mut words = BTreeSet::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() && path.file_name().is_none_or(|name| name != "architecture") {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
            words.extend(text.split(|letter| !is_part(letter)).map(str::to_owned));
        }
    }
    words
}

#[test]
fn what_is_exported_is_used_from_outside() {
    let words = words_outside();
    let files = files();
    let items: Vec<(&String, items::Items)> =
        files.iter().filter(|(_, _, _, is_test)| !is_test).map(|(name, file, ..)| (name, items::of(file))).collect();
    let shown: BTreeSet<&String> = items.iter().flat_map(|(_, items)| &items.shown).collect();
    let mut wrong = Vec::new();
    for (name, items) in &items {
        let unused = items.exported.iter().filter(|item| !words.contains(*item));
        let unneeded = items.exported_types.iter().filter(|item| !words.contains(*item) && !shown.contains(item));
        wrong.extend(unused.chain(unneeded).map(|item| format!("src/{name}: {item} can be pub(crate)")));
    }
    let exported: usize = items.iter().map(|(_, items)| items.exported.len()).sum();
    assert!(exported > 100, "exported items are found: {exported}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = files();
    let sources: Vec<(&str, &syn::File)> =
        files.iter().filter(|(_, _, _, is_test)| !is_test).map(|(name, file, _, _)| (name.as_str(), file)).collect();
    let modules = graph::Modules::of(sources.iter().copied());
    let imports: BTreeMap<String, BTreeSet<String>> =
        sources.iter().map(|(name, file)| ((*name).to_owned(), modules.imports(name, file))).collect();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 500, "imports are found");
    let circles = graph::circles(&imports);
    for circle in &circles {
        for name in circle {
            let inside: Vec<&String> = imports[name].iter().filter(|other| circle.contains(other)).collect();
            println!("src/{name} imports {inside:?}");
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn the_map_lists_every_module() {
    let lib = std::fs::read_to_string(sources().join("lib.rs")).unwrap();
    let listed: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    let mut designed: Vec<&str> =
        MAY_IMPORT.iter().map(|(module, _)| *module).filter(|module| !["main", "lib"].contains(module)).collect();
    designed.sort_unstable();
    assert_eq!(listed, designed);
}

#[test]
fn the_reader_of_paths_misses_nothing() {
    let source = "
        //! Text.
        use crate::{alpha::{One, two::Three as Other}, beta};
        use super::super::gamma::*;
        pub use super::inner;
        fn f(x: crate::delta::D) -> Option<super::super::epsilon::E> { crate::zeta::call(format!(\"{}\", crate::eta::X)) }
        impl crate::theta::T for U { const C: V = <crate::iota::I as crate::kappa::K>::Z; }
        #[derive(A)] struct S { #[serde(with = \"x\")] field: Box<dyn Fn(crate::lambda::L)> }
        mod deeper { use super::super::super::mu; }
        #[cfg(test)] mod tests { use crate::hidden; }
        #[cfg(test)] use crate::hidden;
        #[test] fn t() { crate::hidden::f(); }
    ";
    let file = syn::parse_str(source).unwrap();
    let mut found: Vec<String> =
        paths::of_the_crate("part/file.rs", &file).into_iter().map(|Used { path }| path.join("::")).collect();
    found.sort();
    found.dedup();
    let wanted = [
        "alpha::One",
        "alpha::two::Three",
        "beta",
        "delta::D",
        "epsilon::E",
        "eta::X",
        "gamma",
        "iota::I",
        "kappa::K::Z",
        "lambda::L",
        "mu",
        "part::inner",
        "theta::T",
        "zeta::call",
    ];
    assert_eq!(found, wanted);
    let other = "use serde_yaml::Value; fn f() { serde_yaml::from_str(x); log!(rusqlite::Error); }";
    let found = paths::as_written(&syn::parse_str(other).unwrap());
    for krate in ["serde_yaml", "rusqlite"] {
        assert!(found.iter().any(|used| used.path[0] == krate), "{krate}");
    }
    assert!(covers("run::event", &["run".into(), "event".into(), "Event".into()]));
    assert!(!covers("run::event", &["run".into()]));
}
