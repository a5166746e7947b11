//! The view for terminals: one line per candidate with its steps, percent and training loss, and one for the steps of the
//! whole run. The text of a line is a pure function of the events. `ProgressView` draws it, but not before 250 ms have
//! passed, so that a quick command does not flicker.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::text::one_line;
use crate::run::event::{Event, EventKind, Step};
use crate::vocabulary::CandidateState;

use super::plain::{EventLine, heading, line};
use super::{Ui, View};

/// The time before anything is drawn.
pub(super) const FIRST_DRAW: Duration = Duration::from_millis(250);
/// How often spinners and clocks move.
pub(super) const TICK: Duration = Duration::from_millis(120);
/// The cells of a bar.
pub(super) const CELLS: usize = 14;

/// Draws bars on stderr.
pub struct ProgressView {
    ui: Ui,
    bars: MultiProgress,
    lines: Vec<(Option<String>, ProgressBar)>,
    board: Board,
    first_draw: Option<(Sender<()>, JoinHandle<()>)>,
}

impl ProgressView {
    /// Returns a view whose bars stay below the lines of this ui.
    pub fn new(ui: &Ui) -> ProgressView {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        ui.show_bars(Some(bars.clone()));
        let (close, closed) = channel();
        let shown = bars.clone();
        let first_draw = std::thread::Builder::new().name("progress".into()).spawn(move || {
            if closed.recv_timeout(FIRST_DRAW) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            }
        });
        let first_draw = first_draw.ok().map(|thread| (close, thread));
        ProgressView { ui: ui.clone(), bars, lines: Vec::new(), board: Board::default(), first_draw }
    }

    /// Updates the line of a candidate, or of the whole run.
    fn refresh(&mut self, candidate: Option<&str>) {
        let text = self.board.text(candidate);
        let at = self.lines.iter().position(|(name, _)| name.as_deref() == candidate);
        match (text, at) {
            (Some(text), Some(at)) => self.lines[at].1.set_message(text),
            (Some(text), None) => {
                let bar = if candidate.is_none() {
                    self.bars.insert(0, ProgressBar::new_spinner())
                } else {
                    self.bars.add(ProgressBar::new_spinner())
                };
                bar.set_style(style(self.ui.inner.err_color));
                bar.set_message(text);
                bar.enable_steady_tick(TICK);
                self.lines.push((candidate.map(str::to_owned), bar));
            }
            (None, Some(at)) => {
                let (_, bar) = self.lines.remove(at);
                bar.finish_and_clear();
                self.bars.remove(&bar);
            }
            (None, None) => {}
        }
    }
}

impl View for ProgressView {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::RunStarted { .. } => {
                if let Some(text) = heading(event) {
                    self.ui.note(&text);
                }
            }
            EventKind::Warning { message, is_in_report: false } => self.ui.warn(&one_line(message)),
            EventKind::StepFailed { .. } | EventKind::Stopping { .. } => match line(event) {
                Some(EventLine::Failure(text)) => self.ui.warn(&text),
                Some(EventLine::Note(text)) => self.ui.note(&text),
                None => {}
            },
            _ => {}
        }
        for candidate in self.board.apply(event) {
            self.refresh(candidate.as_deref());
        }
    }

    fn close(&mut self) {
        if let Some((close, thread)) = self.first_draw.take() {
            drop(close);
            let _ = thread.join();
        }
        for (_, bar) in self.lines.drain(..) {
            bar.finish_and_clear();
        }
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        self.ui.show_bars(None);
    }
}

impl Drop for ProgressView {
    fn drop(&mut self) {
        self.close();
    }
}

pub(super) fn style(color: bool) -> ProgressStyle {
    let template = if color { "{spinner:.cyan} {wide_msg} {elapsed:.dim}" } else { "{spinner} {wide_msg} {elapsed}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// The text of each line: the steps under way of each candidate, in the order in which they began.
#[derive(Default)]
struct Board {
    candidates: Vec<String>,
    ended: HashMap<String, CandidateState>,
    waiting: HashMap<String, u32>,
    active: Vec<ActiveStep>,
}

struct ActiveStep {
    candidate: Option<String>,
    step: Step,
    percent: Option<f64>,
    detail: Option<String>,
    loss: Option<f64>,
}

impl Board {
    /// Applies an event. Returns the candidates whose lines changed.
    fn apply(&mut self, event: &Event) -> Vec<Option<String>> {
        match &event.kind {
            EventKind::RunStarted { candidates, .. } => {
                self.candidates = candidates.clone();
                candidates.iter().map(|name| Some(name.clone())).collect()
            }
            EventKind::StepStarted { candidate, step } => {
                if let Some(name) = candidate {
                    self.waiting.remove(name);
                }
                self.forget(candidate.as_deref(), *step);
                self.active.push(ActiveStep {
                    candidate: candidate.clone(),
                    step: *step,
                    percent: None,
                    detail: None,
                    loss: None,
                });
                vec![candidate.clone()]
            }
            EventKind::StepProgress { candidate, step, percent, detail, train_loss, .. } => {
                for active in self.active.iter_mut().filter(|a| a.candidate == *candidate && a.step == *step) {
                    active.percent = percent.or(active.percent);
                    active.detail = detail.clone();
                    active.loss = train_loss.or(active.loss);
                }
                vec![candidate.clone()]
            }
            EventKind::StepDone { candidate, step, .. } | EventKind::StepFailed { candidate, step, .. } => {
                self.forget(candidate.as_deref(), *step);
                vec![candidate.clone()]
            }
            EventKind::GpusGranted { candidate, .. } => {
                self.waiting.remove(candidate);
                vec![Some(candidate.clone())]
            }
            EventKind::GpusAwaited { candidate, gpus, .. } => {
                self.waiting.insert(candidate.clone(), *gpus);
                vec![Some(candidate.clone())]
            }
            EventKind::CandidateDone { candidate, state, .. } => {
                self.active.retain(|active| active.candidate.as_deref() != Some(candidate));
                self.ended.insert(candidate.clone(), *state);
                vec![Some(candidate.clone())]
            }
            EventKind::ResourceLive { .. }
            | EventKind::ResourceReleased { .. }
            | EventKind::Warning { .. }
            | EventKind::Stopping { .. }
            | EventKind::RunDone { .. } => Vec::new(),
        }
    }

    fn forget(&mut self, candidate: Option<&str>, step: Step) {
        self.active.retain(|active| active.candidate.as_deref() != candidate || active.step != step);
    }

    /// Returns the line of a candidate, or of the whole run. `None`: nothing to show.
    fn text(&self, candidate: Option<&str>) -> Option<String> {
        let steps: Vec<String> = self
            .active
            .iter()
            .filter(|active| active.candidate.as_deref() == candidate)
            .map(ActiveStep::text)
            .collect();
        let Some(name) = candidate else { return (!steps.is_empty()).then(|| steps.join(" · ")) };
        let now = if !steps.is_empty() {
            steps.join(" · ")
        } else if let Some(state) = self.ended.get(name) {
            state.as_str().to_owned()
        } else if let Some(gpus) = self.waiting.get(name) {
            format!("waits for {gpus} GPU{}", if *gpus == 1 { "" } else { "s" })
        } else {
            "waiting".to_owned()
        };
        let widest = self.candidates.iter().map(|name| console::measure_text_width(name)).max().unwrap_or(0).min(40);
        Some(format!("{}  {now}", console::pad_str(&one_line(name), widest, console::Alignment::Left, None)))
    }
}

impl ActiveStep {
    fn text(&self) -> String {
        let mut text = self.step.label().to_owned();
        if let Some(percent) = self.percent {
            let percent = percent.clamp(0.0, 100.0);
            let filled = ((percent / 100.0) * CELLS as f64).round() as usize;
            text += &format!(" {}{} {percent:3.0} %", "━".repeat(filled), "─".repeat(CELLS - filled.min(CELLS)));
        }
        if let Some(loss) = self.loss {
            text += &format!(", loss {loss:.3}");
        }
        if let Some(detail) = &self.detail {
            text += &format!(", {}", one_line(detail));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::{event, sample_run};

    /// Every state of the board on the way through a run.
    fn boards(events: &[Event]) -> String {
        let mut board = Board::default();
        let mut shown = String::new();
        for event in events {
            board.apply(event);
            let names = std::iter::once(None).chain(board.candidates.iter().map(|name| Some(name.as_str())));
            let lines: Vec<String> = names.filter_map(|name| board.text(name)).collect();
            shown += &format!("-- {}\n{}\n", serde_json::to_value(event).unwrap()["event"], lines.join("\n"));
        }
        shown
    }

    #[test]
    fn a_line_per_candidate_with_step_percent_and_loss() {
        insta::assert_snapshot!(boards(&sample_run()));
    }

    #[test]
    fn odd_progress_is_drawn_within_its_bounds() {
        let step = Step::Train;
        let progress = |percent| EventKind::StepProgress {
            candidate: None,
            step,
            percent: Some(percent),
            detail: None,
            train_loss: None,
            validation_loss: None,
        };
        let mut board = Board::default();
        board.apply(&event(EventKind::StepStarted { candidate: None, step }));
        for (percent, text) in [(-5.0, "train ──────────────   0 %"), (250.0, "train ━━━━━━━━━━━━━━ 100 %")]
        {
            board.apply(&event(progress(percent)));
            assert_eq!(board.text(None).unwrap(), text);
        }
        board.apply(&event(progress(f64::NAN)));
        assert!(board.text(None).is_some());
        board.apply(&event(EventKind::StepDone { candidate: None, step, seconds: 1.0, detail: None }));
        assert_eq!(board.text(None), None);
    }

    #[test]
    fn closing_twice_or_before_anything_was_drawn_is_fine() {
        let (ui, _, err) = crate::ui::tests::buffered(false);
        let mut view = ProgressView::new(&ui);
        for event in sample_run() {
            view.event(&event);
        }
        view.close();
        view.close();
        ui.note("after");
        assert!(err.text().ends_with("after\n"));
    }
}
