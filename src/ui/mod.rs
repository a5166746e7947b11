//! The only module that writes to a stream. stdout carries what was asked for, stderr everything else. `-q`, `--format` and
//! `--color` are heeded here, so that no caller has to. Control characters in text from elsewhere are replaced. `report`
//! lays results out; the views of a running run are in the files beside this one.

pub(crate) mod json_lines;
pub mod parse_error;
pub mod plain;
pub mod progress;
pub(crate) mod read_meter;
pub(crate) mod view;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::json;

use crate::error::Exit;
use crate::report::json::{ErrorObject, SCHEMA};
use crate::report::text::{Tone, clean, clean_styled, paint};

pub use view::{View, Views};

/// The form of results on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    #[value(alias = "table")]
    Human,
    /// One JSON object on one line.
    Json,
    /// A Markdown document.
    Markdown,
    /// An XML file for CI systems.
    Junit,
    /// One HTML page that needs nothing else.
    Html,
}

impl Format {
    /// Reads the forms that every command has. Only `report` has the others.
    pub fn common() -> impl TypedValueParser<Value = Format> {
        let common = [Format::Human, Format::Json];
        PossibleValuesParser::new(common.iter().filter_map(ValueEnum::to_possible_value))
            .try_map(|word| <Format as ValueEnum>::from_str(&word, false))
    }
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

/// The flags for output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub format: Format,
    /// No progress, no tables, no notes (`-q`).
    pub quiet: bool,
    pub color: ColorChoice,
}

/// The streams of this process, with the rules for writing to them. Clones share them.
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

/// stdout, and whether it failed.
struct Out {
    stream: Box<dyn Write + Send>,
    closed: bool,
    lost: Option<io::Error>,
}

impl Ui {
    /// Returns the streams of this process.
    pub fn new(settings: Settings) -> Ui {
        let (out, err) = (io::stdout(), io::stderr());
        let color = |terminal: bool| match settings.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !is_set("NO_COLOR") && !is_dumb(),
        };
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        Ui::over(Inner {
            settings,
            out_color: color(out_terminal),
            out_terminal: out_terminal && !is_dumb(),
            err_color: color(err_terminal),
            err_terminal: err_terminal && !is_dumb(),
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

    /// Returns the form of results.
    pub fn format(&self) -> Format {
        self.inner.settings.format
    }

    /// Tells whether `-q` was given.
    pub fn quiet(&self) -> bool {
        self.inner.settings.quiet
    }

    /// Returns the columns for tables: `COLUMNS`, or else the terminal's, or else 80.
    pub fn width(&self) -> usize {
        self.inner.width
    }

    /// Tells whether stdout takes colour.
    pub fn color(&self) -> bool {
        self.inner.out_color
    }

    /// Prints the result of the command for people. Not with `-q` and not in JSON format.
    pub fn result(&self, text: &str) {
        if !self.quiet() && self.format() == Format::Human {
            self.print(&clean_styled(text));
        }
    }

    /// Prints a result that may be printed `again` when it changes. On a terminal it replaces the one before.
    pub(crate) fn frame(&self, text: &str, again: bool) {
        if self.quiet() || self.format() != Format::Human {
            return;
        }
        let clear = if again && self.inner.out_terminal { "\x1b[H\x1b[2J" } else { "" };
        self.print(&format!("{clear}{}", clean_styled(text)));
    }

    /// Prints text for programs, such as addresses, a completion script or a document. Also with `-q`.
    pub fn payload(&self, text: &str) {
        if self.format() != Format::Json {
            self.print(text);
        }
    }

    /// Prints the one JSON object of the command on one line. Only in JSON format, also with `-q`.
    pub fn json(&self, value: &impl Serialize) {
        if self.format() != Format::Json {
            return;
        }
        match serde_json::to_string(value) {
            Ok(line) => {
                self.inner.said_json.store(true, Ordering::Relaxed);
                self.print(&line);
            }
            Err(error) => self.error_line(&format!("cannot write the result as JSON: {error}")),
        }
    }

    /// Prints a note on stderr. Not with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet() {
            self.tell(&clean(text));
        }
    }

    /// Prints a warning on stderr. Also with `-q`.
    pub(crate) fn warn(&self, text: &str) {
        self.tell(&format!("{} {}", paint(self.inner.err_color, Tone::Warning, "warning:"), clean(text)));
    }

    /// Prints the warnings of a plan. Not with `-q`, since whoever runs a plan every night has seen them.
    pub(crate) fn warn_of_plan(&self, warnings: &[String]) {
        for warning in warnings.iter().filter(|_| !self.quiet()) {
            self.warn(warning);
        }
    }

    /// Prints what to type next. Not with `-q`.
    pub fn hint(&self, text: &str) {
        if !self.quiet() {
            self.hint_line(text);
        }
    }

    /// Prints why the command failed: the chain level by level, then the hint. In JSON format also prints the one object
    /// on stdout, unless the command has printed its own.
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

    /// Returns the error of stdout, if it failed. A reader that has gone is no error.
    pub fn lost(&self) -> Option<String> {
        lock(&self.inner.out).lost.as_ref().map(ToString::to_string)
    }

    /// Returns the final exit code: a command whose result was lost on the way out has failed.
    pub fn settle(&self, exit: Exit) -> Exit {
        match self.lost() {
            Some(why) if exit == Exit::Done => {
                self.error(&anyhow::anyhow!(why).context("cannot write to standard output"), Exit::Failed, None);
                Exit::Failed
            }
            _ => exit,
        }
    }

    /// Returns the view of a run on stderr: bars on a terminal, otherwise one line per step.
    pub(crate) fn view(&self) -> Box<dyn View> {
        if self.inner.err_terminal && !self.quiet() {
            Box::new(progress::ProgressView::new(self))
        } else {
            Box::new(plain::PlainView::new(self))
        }
    }

    /// Returns stderr as a writer for log lines, which appear above the bars.
    pub fn stderr(&self) -> Stderr {
        Stderr(self.clone())
    }

    fn error_line(&self, text: &str) {
        self.tell(&format!("{} {}", paint(self.inner.err_color, Tone::Bad, "error:"), clean(text)));
    }

    fn hint_line(&self, text: &str) {
        self.tell(&format!("{} {}", paint(self.inner.err_color, Tone::Heading, "hint:"), clean(text)));
    }

    /// Writes to stdout and ends with a line feed. The rest is dropped once the reader has gone.
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

    /// Writes one line to stderr. If that fails, nobody is left to tell.
    fn tell(&self, text: &str) {
        self.above_bars(|| {
            let _ = writeln!(lock(&self.inner.err), "{}", text.trim_end_matches('\n'));
        });
    }

    /// Writes while the bars are off the screen.
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

/// stderr as a writer of whole log lines.
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

/// Locks a stream. A panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn terminal_width(terminal: bool) -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|value| value.trim().parse::<usize>().ok());
    let measured = || terminal.then(|| console::Term::stdout().size_checked()).flatten().map(|(_, w)| usize::from(w));
    columns.filter(|&w| w > 0).or_else(measured).unwrap_or(80).max(40)
}

#[cfg(test)]
pub(crate) mod tests;
