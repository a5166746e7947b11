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
fn every_example_is_named_in_a_page() {
    let linked: BTreeSet<PathBuf> = pages()
        .iter()
        .flat_map(|page| page.links().into_iter().map(|(_, link)| target(page, &link).0).collect::<Vec<_>>())
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let folders = [project().join("examples"), project().join("examples/ci")];
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
