//! Where diagnostics go: to stderr as far as `-v` asks, and all of them to the log of the run at work.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::plan::LogLevel;
use crate::ui::Ui;

/// The log of the run at work: lines written before it has a file are dropped.
#[derive(Clone, Default)]
pub(super) struct RunLog(Arc<Mutex<Option<File>>>);

impl RunLog {
    /// From now on lines go to this file.
    pub(super) fn attach(&self, path: &Path) -> anyhow::Result<()> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("opening the run's log {}", path.display()))?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(file) => file.write_all(bytes).map(|()| bytes.len()),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for RunLog {
    type Writer = RunLog;

    fn make_writer(&self) -> RunLog {
        self.clone()
    }
}

/// Starts diagnostics. `verbose` counts `-v`; `level` is where the configuration starts from.
pub(super) fn start(verbose: u8, level: LogLevel, ui: &Ui) -> RunLog {
    let start = match level {
        LogLevel::Error => 0,
        LogLevel::Warning => 1,
        // Steps are told by the views of a run, not by log lines.
        LogLevel::Info => 1,
        LogLevel::Debug => 3,
    };
    let shown = match start + if ui.quiet() { 0 } else { verbose } {
        _ if ui.quiet() => LevelFilter::ERROR,
        0 => LevelFilter::ERROR,
        1 => LevelFilter::WARN,
        2 => LevelFilter::INFO,
        3 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let ours = |level| Targets::new().with_target("dfwfd", level).with_default(LevelFilter::WARN.min(level));
    let log = RunLog::default();
    let stderr = ui.clone();
    let to_stderr = tracing_subscriber::fmt::layer()
        .with_writer(move || stderr.stderr())
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_filter(ours(shown));
    let to_log = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(log.clone())
        .with_filter(ours(LevelFilter::DEBUG));
    // A second start, in a test, keeps the first.
    let _ = tracing_subscriber::registry().with(to_stderr).with(to_log).try_init();
    log
}
