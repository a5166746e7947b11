//! Checks relative links: file and heading exist, and every page can be reached from the README.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::harness::project;
use crate::markdown::{Page, pages};

fn is_outside(target: &str) -> bool {
    target.starts_with("https://") || target.starts_with("http://")
}

/// Returns the file and the anchor behind a link on this page.
fn target(page: &Page, link: &str) -> (PathBuf, Option<String>) {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
    let folder = page.path.parent().unwrap();
    (if file.is_empty() { page.path.clone() } else { folder.join(file) }, anchor)
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages() {
        for (line, link) in page.links().into_iter().filter(|(_, link)| !is_outside(link)) {
            followed += 1;
            let (file, anchor) = target(&page, &link);
            let found = match anchor {
                _ if !file.exists() => false,
                None => true,
                Some(anchor) => Page::read(&file).anchors().contains(&anchor),
            };
            if !found {
                broken.push(format!("{}:{line}: {link}", page.name()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    assert!(followed > 40, "only {followed} links were found");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut open = vec![project().join("README.md")];
    while let Some(path) = open.pop() {
        let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        if is_page && reached.insert(path.clone()) {
            let page = Page::read(&path);
            let links = page.links().into_iter().filter(|(_, link)| !is_outside(link));
            open.extend(links.map(|(_, link)| target(&page, &link).0));
        }
    }
    let lost = |page: &Page| !reached.contains(&page.path.canonicalize().unwrap());
    let lost: Vec<String> = pages().iter().filter(|page| lost(page)).map(Page::name).collect();
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn every_path_on_the_map_exists() {
    let map = Page::read(&project().join("docs/architecture.md"));
    let folders = ["src/", "tests/", "testdata/", "docs/", "benches/", "examples/", "scripts/", ".ci/"];
    let paths: Vec<_> =
        map.spans().into_iter().filter(|(_, span)| folders.iter().any(|folder| span.starts_with(folder))).collect();
    let missing: Vec<_> = paths.iter().filter(|(_, path)| !project().join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/architecture.md names what does not exist: {missing:#?}");
    assert!(paths.len() > 40, "only {} paths were found", paths.len());
}

#[test]
fn every_module_is_a_room_on_the_map() {
    let map = std::fs::read_to_string(project().join("docs/architecture.md")).unwrap();
    let lib = std::fs::read_to_string(project().join("src/lib.rs")).unwrap();
    let modules =
        lib.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    let lost: Vec<&str> = modules
        .filter(|name| {
            !map.contains(&format!("\n| `src/{name}` |")) && !map.contains(&format!("\n| `src/{name}.rs` |"))
        })
        .collect();
    assert_eq!(lost, Vec::<&str>::new(), "docs/architecture.md has no row for them");
}

#[test]
fn every_example_is_named_in_a_page() {
    let linked: BTreeSet<PathBuf> = pages()
        .iter()
        .flat_map(|page| page.links().into_iter().map(|(_, link)| target(page, &link).0).collect::<Vec<_>>())
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let folders = ["examples", "examples/ci", "examples/unattended"].map(|folder| project().join(folder));
    let examples =
        folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    for example in examples.filter(|path| is_listed(path)) {
        assert!(linked.contains(&example.canonicalize().unwrap()), "no page links {}", example.display());
    }
}

/// Skips files that Python leaves behind.
fn is_listed(path: &Path) -> bool {
    path.is_file() && path.extension().is_none_or(|extension| extension != "pyc")
}
