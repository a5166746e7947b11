//! The view that writes events as JSON lines: for `--events FILE` and the log of a run. A line is in the file before the
//! next event happens.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::run::event::Event;

use super::{Ui, View};

/// Appends one JSON line per event to a file.
pub(crate) struct JsonLinesView {
    ui: Ui,
    path: PathBuf,
    file: Option<File>,
}

impl JsonLinesView {
    /// Opens or creates the file for appending.
    pub(crate) fn append(path: &Path, ui: &Ui) -> io::Result<JsonLinesView> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(JsonLinesView { ui: ui.clone(), path: path.to_owned(), file: Some(file) })
    }
}

impl View for JsonLinesView {
    fn event(&mut self, event: &Event) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_vec(event).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            file.write_all(&line)
        });
        if let Err(error) = written {
            self.file = None;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.ui.warn(&format!("cannot write events to {} any more: {error}", self.path.display()));
            }
        }
    }

    fn close(&mut self) {
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::{buffered, event};

    #[test]
    fn appends_a_line_per_event_and_keeps_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, "{\"old\":1}\n").unwrap();
        let (ui, ..) = buffered(false);
        let mut view = JsonLinesView::append(&path, &ui).unwrap();
        view.event(&event(crate::run::event::EventKind::Stopping { reason: "two\nlines".into() }));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "{\"old\":1}");
        let value: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(value["event"], "stopping");
        assert_eq!(value["reason"], "two\nlines");
        assert_eq!((lines.len(), value["run"].as_str()), (2, Some("abcd2345")));
    }

    #[test]
    fn a_folder_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (ui, ..) = buffered(false);
        assert!(JsonLinesView::append(dir.path(), &ui).is_err());
    }
}
