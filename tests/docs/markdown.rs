//! Reads the code blocks, links, headings and code spans of a page. It knows only the Markdown that these pages use.

use std::path::{Path, PathBuf};

use regex::Regex;

use crate::harness::project;

/// A fenced code block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The text after the fence, such as `sh run`.
    pub info: String,
    pub text: String,
    /// The first line of the text.
    pub line: usize,
}

/// A page of the documentation.
#[derive(Debug)]
pub(crate) struct Page {
    pub path: PathBuf,
    pub blocks: Vec<Block>,
    /// The lines outside code blocks, with their numbers.
    pub prose: Vec<(usize, String)>,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Page {
        let text = std::fs::read_to_string(path).unwrap();
        let (mut blocks, mut prose, mut open): (Vec<Block>, _, Option<Block>) = (Vec::new(), Vec::new(), None);
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            match (line.strip_prefix("```"), &mut open) {
                (Some(info), None) => {
                    open = Some(Block { info: info.trim().to_owned(), text: String::new(), line: number + 1 });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text.extend([line, "\n"]),
                (None, None) => prose.push((number, line.to_owned())),
            }
        }
        assert!(open.is_none(), "{}: a code block is never closed", path.display());
        Page { path: path.to_owned(), blocks, prose }
    }

    /// Returns the path within the project.
    pub(crate) fn name(&self) -> String {
        self.path.strip_prefix(project()).unwrap().display().to_string()
    }

    /// Returns the targets of links and images, with their lines.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let link = Regex::new(r"\]\(([^()\s]+)\)").unwrap();
        let spans = Regex::new("`[^`]*`").unwrap();
        let mut found = Vec::new();
        for (number, line) in &self.prose {
            let line = spans.replace_all(line, "``");
            found.extend(link.captures_iter(&line).map(|captures| (*number, captures[1].to_owned())));
        }
        found
    }

    /// Returns the code spans, with their lines.
    pub(crate) fn spans(&self) -> Vec<(usize, String)> {
        let span = Regex::new("`([^`]+)`").unwrap();
        let of_line = |(number, line): &(usize, String)| {
            span.captures_iter(line).map(|captures| (*number, captures[1].to_owned())).collect::<Vec<_>>()
        };
        self.prose.iter().flat_map(of_line).collect()
    }

    /// Returns the anchors of the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self
            .prose
            .iter()
            .filter_map(|(_, line)| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
        headings.map(anchor).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}

/// Returns the README, the changelog, docs/ and the pages of the test data.
pub(crate) fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "CHANGELOG.md", "testdata/README.md"].iter().map(|name| project().join(name)).collect();
    let docs = std::fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    paths.iter().map(|path| Page::read(path)).collect()
}
