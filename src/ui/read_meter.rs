//! The progress of reading a file: on a terminal a bar with rate and time left, elsewhere a line now and then. The text is
//! a pure function of counts and time. `ReadMeter` draws it, but not before 250 ms have passed.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::Ui;
use super::progress::{CELLS, FIRST_DRAW, TICK, style};
use crate::report::text::count;

/// The number of lines between two notes without a terminal.
const NOTE_EVERY: u64 = 250_000;

/// Shows the progress of a command that reads lines.
pub(crate) struct ReadMeter {
    ui: Ui,
    command: &'static str,
    started: Instant,
    bars: MultiProgress,
    bar: Option<ProgressBar>,
    noted: u64,
}

/// How much was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadProgress {
    pub lines: u64,
    pub bytes: u64,
    /// The size of the input in bytes, if known.
    pub of: Option<u64>,
}

impl ReadMeter {
    /// Returns a meter that begins now.
    pub(crate) fn new(ui: &Ui, command: &'static str) -> ReadMeter {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        ReadMeter { ui: ui.clone(), command, started: Instant::now(), bars, bar: None, noted: 0 }
    }

    /// Shows the progress.
    pub(crate) fn show(&mut self, reached: ReadProgress) {
        if self.ui.quiet() {
            return;
        }
        let elapsed = self.started.elapsed();
        if !self.ui.inner.err_terminal {
            if reached.lines / NOTE_EVERY > self.noted {
                self.noted = reached.lines / NOTE_EVERY;
                self.ui.note(&format!("{} lines read", count(self.noted * NOTE_EVERY)));
            }
            return;
        }
        if elapsed < FIRST_DRAW {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            self.bars.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            self.ui.show_bars(Some(self.bars.clone()));
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_style(style(self.ui.inner.err_color));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(text(self.command, elapsed, reached));
    }
}

impl Drop for ReadMeter {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            // The terminal may be gone.
            let _ = self.bars.clear();
            self.ui.show_bars(None);
        }
    }
}

fn text(command: &str, elapsed: Duration, reached: ReadProgress) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = (reached.lines as f64 / seconds) as u64;
    let rest = format!("{} lines, {} a second", count(reached.lines), count(rate));
    let Some(of) = reached.of.filter(|of| *of > 0) else { return format!("{command} {rest}") };
    let done = (reached.bytes as f64 / of as f64).clamp(0.0, 1.0);
    let filled = (done * CELLS as f64).round() as usize;
    let bar = "━".repeat(filled) + &"─".repeat(CELLS - filled);
    let left = if done > 0.0 { left(seconds * (1.0 - done) / done) } else { String::new() };
    format!("{command} {bar} {:3.0} %, {rest}{left}", done * 100.0)
}

/// Returns the time left in its two largest units.
fn left(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!(", {seconds} s left"),
        (0, minutes, seconds) => format!(", {minutes} min {seconds} s left"),
        (hours, minutes, _) => format!(", {hours} h {minutes} min left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::buffered;

    #[test]
    fn rate_and_time_left_come_from_what_was_read() {
        let reached = ReadProgress { lines: 500_000, bytes: 250, of: Some(1000) };
        let at = |seconds, reached| text("load", Duration::from_secs(seconds), reached);
        assert_eq!(at(10, reached), "load ━━━━──────────  25 %, 500,000 lines, 50,000 a second, 30 s left");
        assert!(at(100, reached).ends_with(", 5 min 0 s left"));
        assert!(at(3600, reached).ends_with(", 3 h 0 min left"));
        assert_eq!(at(10, ReadProgress { of: None, ..reached }), "load 500,000 lines, 50,000 a second");
        let none = ReadProgress { lines: 0, bytes: 0, of: Some(1000) };
        assert_eq!(at(0, none), "load ──────────────   0 %, 0 lines, 0 a second");
        let grown = ReadProgress { bytes: 2000, ..reached };
        assert_eq!(at(10, grown), "load ━━━━━━━━━━━━━━ 100 %, 500,000 lines, 50,000 a second, 0 s left");
    }

    #[test]
    fn without_a_terminal_a_line_comes_now_and_then() {
        let (ui, _, err) = buffered(false);
        let mut meter = ReadMeter::new(&ui, "load");
        for lines in [1, 249_999, 250_001, 260_000, 800_000] {
            meter.show(ReadProgress { lines, bytes: 0, of: None });
        }
        drop(meter);
        assert_eq!(err.text(), "250,000 lines read\n750,000 lines read\n");
    }
}
