//! The only module that writes to a stream. stdout carries what was asked for, stderr everything else; what is shown is
//! decided here from `-q`, `--format` and `--color`, so that no caller asks. Text from elsewhere loses its control
//! characters on the way out. Layout of results is report's; the views of a running run are in the files beside this.

pub mod jsonl;
pub mod meter;
pub mod plain;
pub mod progress;
pub mod usage;
pub mod view;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::json;

use crate::error::Exit;
use crate::report::json::{ErrorObject, SCHEMA};
use crate::report::text::{Tone, clean, clean_styled, paint};

pub use view::{View, Views};

/// What stdout carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON object on one line.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the flags say about output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// What stdout carries.
    pub format: Format,
    /// `-q`: no progress, no table, no notes.
    pub quiet: bool,
    /// When to use colour.
    pub color: ColorChoice,
}

/// The streams of this process and what may be written to them; clones share them.
#[derive(Clone)]
pub struct Ui {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    out: Mutex<Out>,
    err: Mutex<Box<dyn Write + Send>>,
    out_color: bool,
    out_terminal: bool,
    err_color: bool,
    err_terminal: bool,
    width: usize,
    said_json: AtomicBool,
    bars: Mutex<Option<MultiProgress>>,
}

/// stdout, and what became of it.
struct Out {
    stream: Box<dyn Write + Send>,
    closed: bool,
    lost: Option<io::Error>,
}

impl Ui {
    /// The real streams of this process.
    pub fn new(settings: Settings) -> Ui {
        let (out, err) = (io::stdout(), io::stderr());
        let color = |terminal: bool| match settings.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !set("NO_COLOR") && !dumb(),
        };
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        Ui::over(Inner {
            settings,
            out_color: color(out_terminal),
            out_terminal: out_terminal && !dumb(),
            err_color: color(err_terminal),
            err_terminal: err_terminal && !dumb(),
            width: terminal_width(out_terminal),
            out: Mutex::new(Out { stream: Box::new(out), closed: false, lost: None }),
            err: Mutex::new(Box::new(err)),
            said_json: AtomicBool::new(false),
            bars: Mutex::new(None),
        })
    }

    fn over(inner: Inner) -> Ui {
        Ui { inner: Arc::new(inner) }
    }

    /// What stdout carries.
    pub fn format(&self) -> Format {
        self.inner.settings.format
    }

    /// Whether `-q` was given.
    pub fn quiet(&self) -> bool {
        self.inner.settings.quiet
    }

    /// Columns that a table may take: `COLUMNS`, else the terminal's, else 80.
    pub fn width(&self) -> usize {
        self.inner.width
    }

    /// Whether stdout takes colour.
    pub fn color(&self) -> bool {
        self.inner.out_color
    }

    /// A table or a sentence that answers the command; not with `-q` and not in JSON format.
    pub fn result(&self, text: &str) {
        if !self.quiet() && self.format() == Format::Human {
            self.print(&clean_styled(text));
        }
    }

    /// A result that is shown again when it changes: on a terminal the new one takes the place of the old.
    pub fn frame(&self, text: &str, again: bool) {
        if self.quiet() || self.format() != Format::Human {
            return;
        }
        let clear = if again && self.inner.out_terminal { "\x1b[H\x1b[2J" } else { "" };
        self.print(&format!("{clear}{}", clean_styled(text)));
    }

    /// What the command exists to print for a program to read (addresses, a completion script); also with `-q`.
    pub fn payload(&self, text: &str) {
        if self.format() == Format::Human {
            self.print(text);
        }
    }

    /// The one JSON object of the command, on one line; only in JSON format, also with `-q`.
    pub fn json(&self, value: &impl Serialize) {
        if self.format() != Format::Json {
            return;
        }
        match serde_json::to_string(value) {
            Ok(line) => {
                self.inner.said_json.store(true, Ordering::Relaxed);
                self.print(&line);
            }
            Err(error) => self.error_line(&format!("writing the result as JSON: {error}")),
        }
    }

    /// Progress or a fact worth a line on stderr; not with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet() {
            self.tell(&clean(text));
        }
    }

    /// Something that the reader should look at, though nothing failed; also with `-q`.
    pub fn warn(&self, text: &str) {
        self.tell(&format!("{} {}", paint(self.inner.err_color, Tone::Warning, "warning:"), clean(text)));
    }

    /// What to type next; not with `-q`.
    pub fn hint(&self, text: &str) {
        if !self.quiet() {
            self.hint_line(text);
        }
    }

    /// Says why the command ends: the chain level by level, then the hint; in JSON format also the one object on stdout,
    /// unless the command has printed its own.
    pub fn error(&self, chain: &anyhow::Error, exit: Exit, hint: Option<&str>) {
        self.error_line(&chain.to_string());
        for cause in chain.chain().skip(1) {
            self.tell(&format!(
                "{} {}",
                paint(self.inner.err_color, Tone::Bad, "caused by:"),
                clean(&cause.to_string())
            ));
        }
        if let Some(hint) = hint {
            self.hint_line(hint);
        }
        if !self.inner.said_json.load(Ordering::Relaxed) {
            let error = ErrorObject::new(chain, hint);
            self.json(&json!({"schema": SCHEMA, "exit_code": exit.code(), "error": error}));
        }
    }

    /// What went wrong with stdout, if anything did; a reader that went away is not wrong.
    pub fn lost(&self) -> Option<String> {
        lock(&self.inner.out).lost.as_ref().map(ToString::to_string)
    }

    /// The code to end with: a command whose answer was lost on the way out has not done what it was asked for.
    pub fn settle(&self, exit: Exit) -> Exit {
        match self.lost() {
            Some(why) if exit == Exit::Done => {
                self.error(&anyhow::anyhow!(why).context("writing to standard output"), Exit::Failed, None);
                Exit::Failed
            }
            _ => exit,
        }
    }

    /// stderr as a writer for log lines, which pass above the bars.
    pub fn stderr(&self) -> Stderr {
        Stderr(self.clone())
    }

    fn error_line(&self, text: &str) {
        self.tell(&format!("{} {}", paint(self.inner.err_color, Tone::Bad, "error:"), clean(text)));
    }

    fn hint_line(&self, text: &str) {
        self.tell(&format!("{} {}", paint(self.inner.err_color, Tone::Heading, "hint:"), clean(text)));
    }

    /// To stdout, with a line feed at the end. A reader that went away is no error: the rest is dropped.
    fn print(&self, text: &str) {
        self.above_bars(|| {
            let mut out = lock(&self.inner.out);
            if out.closed {
                return;
            }
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            let done = write!(out.stream, "{text}{end}").and_then(|()| out.stream.flush());
            if let Err(error) = done {
                out.closed = true;
                if error.kind() != io::ErrorKind::BrokenPipe {
                    out.lost = Some(error);
                }
            }
        });
    }

    /// To stderr, one line; when stderr itself fails there is nobody left to tell.
    fn tell(&self, text: &str) {
        self.above_bars(|| {
            let _ = writeln!(lock(&self.inner.err), "{}", text.trim_end_matches('\n'));
        });
    }

    /// Runs a write while the bars are taken off the screen.
    fn above_bars(&self, write: impl FnOnce()) {
        let bars = lock(&self.inner.bars).clone();
        match bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn show_bars(&self, bars: Option<MultiProgress>) {
        *lock(&self.inner.bars) = bars;
    }
}

/// stderr for log lines; every write is one whole line or more.
#[derive(Clone)]
pub struct Stderr(Ui);

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.above_bars(|| {
            let _ = lock(&self.0.inner.err).write_all(bytes);
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.0.inner.err).flush()
    }
}

/// A stream is only text on its way out: one left half written by a panic elsewhere is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn terminal_width(terminal: bool) -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|value| value.trim().parse::<usize>().ok());
    let measured = || terminal.then(|| console::Term::stdout().size_checked()).flatten().map(|(_, w)| usize::from(w));
    columns.filter(|&w| w > 0).or_else(measured).unwrap_or(80).max(40)
}

#[cfg(test)]
pub(crate) mod tests;
