//! Pages as the other tests want them: code blocks, links, headings, code spans. Only what these pages use of Markdown.

use std::path::{Path, PathBuf};

use regex::Regex;

use crate::harness::project;

/// A fenced code block.
#[derive(Debug)]
pub struct Block {
    /// What follows the fence, such as `sh run`.
    pub info: String,
    /// Its text.
    pub text: String,
    /// The line that its text begins at.
    pub line: usize,
}

/// A page of the documentation.
#[derive(Debug)]
pub struct Page {
    pub path: PathBuf,
    pub blocks: Vec<Block>,
    /// The lines outside of code blocks, with their numbers.
    pub prose: Vec<(usize, String)>,
}

impl Page {
    pub fn read(path: &Path) -> Page {
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

    /// Its path within the project.
    pub fn name(&self) -> String {
        self.path.strip_prefix(project()).unwrap().display().to_string()
    }

    /// Targets of links and images, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let link = Regex::new(r"\]\(([^()\s]+)\)").unwrap();
        let spans = Regex::new("`[^`]*`").unwrap();
        let mut found = Vec::new();
        for (number, line) in &self.prose {
            let line = spans.replace_all(line, "``");
            found.extend(link.captures_iter(&line).map(|captures| (*number, captures[1].to_owned())));
        }
        found
    }

    /// Code spans, with their lines.
    pub fn spans(&self) -> Vec<(usize, String)> {
        let span = Regex::new("`([^`]+)`").unwrap();
        let of_line = |(number, line): &(usize, String)| {
            span.captures_iter(line).map(|captures| (*number, captures[1].to_owned())).collect::<Vec<_>>()
        };
        self.prose.iter().flat_map(of_line).collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
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

/// The README, the changelog, docs/ and the pages beside the test data.
pub fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "CHANGELOG.md", "testdata/README.md"].iter().map(|name| project().join(name)).collect();
    let docs = std::fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    paths.iter().map(|path| Page::read(path)).collect()
}
