//! Diagnostics: on stderr as `-v` asks, and all of them in the log of the run.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use jiff::Timestamp;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::plan::LogLevel;
use crate::ui::Ui;

/// The log of the run. Drops lines that are written before it has a file.
#[derive(Clone, Default)]
pub(super) struct RunLog(Arc<Mutex<Option<File>>>);

impl RunLog {
    /// Sends lines to this file from now on.
    pub(super) fn attach(&self, path: &Path) -> anyhow::Result<()> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open the log {}", path.display()))?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            file.write_all(&timed(Timestamp::now(), bytes))?;
        }
        Ok(bytes.len())
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

/// Returns a line, which is a JSON object, with the time in front. A line gets its time under the lock that orders the
/// lines, so times never go back in the log.
fn timed(now: Timestamp, line: &[u8]) -> Vec<u8> {
    let Some(rest) = line.strip_prefix(b"{") else { return line.to_vec() };
    let mut timed = format!("{{\"timestamp\":\"{}\",", now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ")).into_bytes();
    timed.extend_from_slice(rest);
    timed
}

/// Starts diagnostics. `verbose` counts `-v` and is added to the `level` of the configuration.
pub(super) fn start(verbose: u8, level: LogLevel, ui: &Ui) -> RunLog {
    let start = match level {
        LogLevel::Error => 0,
        LogLevel::Warning => 1,
        // The views of a run show its steps.
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
        .without_time()
        .with_writer(log.clone())
        .with_filter(ours(LevelFilter::DEBUG));
    // A second start, as in a test, changes nothing.
    let _ = tracing_subscriber::registry().with(to_stderr).with(to_log).try_init();
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_with_its_time_in_front() {
        let now = Timestamp::from_microsecond(1_750_000_000_123_456).unwrap();
        let line = timed(now, b"{\"level\":\"DEBUG\"}\n");
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "{\"timestamp\":\"2025-06-15T15:06:40.123456Z\",\"level\":\"DEBUG\"}\n");
        assert_eq!(timed(now, b"text"), b"text");
    }
}
