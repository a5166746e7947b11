//! The comments of the sources against the style sheet of docs/contributing.md.

use std::path::Path;

/// Openings that make the reader wait for the subject.
const OPENINGS: [&str; 4] = ["What ", "Whether ", "The same ", "Of the "];

/// Returns the comments of a file that open with one of [`OPENINGS`].
fn badly_opened(text: &str) -> Vec<&str> {
    let comments = text.lines().map(str::trim).filter(|line| line.starts_with("//"));
    comments
        .filter(|line| {
            let said = line.trim_start_matches('/').trim_start_matches('!').trim_start();
            OPENINGS.iter().any(|opening| said.starts_with(opening))
        })
        .collect()
}

#[test]
fn no_comment_opens_with_a_word_that_defers_its_subject() {
    let found =
        badly_opened("/// What it does.\nlet a = 1; // Whether\n    //! The same again.\n/// Says what it does.\n");
    assert_eq!(found, ["/// What it does.", "//! The same again."]);
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(badly_opened(&text), Vec::<&str>::new(), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 100, "the sources are there");
}
