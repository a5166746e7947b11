//! The view for pipes and files: one line per finished step.

use crate::report::text::{counted, duration, one_line};
use crate::run::event::{Event, EventKind};

use super::{Ui, View};

/// Prints one line per finished step on stderr.
pub struct PlainView {
    ui: Ui,
}

impl PlainView {
    /// Returns a view that prints through this ui.
    pub fn new(ui: &Ui) -> PlainView {
        PlainView { ui: ui.clone() }
    }
}

impl View for PlainView {
    fn event(&mut self, event: &Event) {
        match (&event.kind, line(event)) {
            (EventKind::Warning { message, is_in_report: false }, _) => {
                self.ui.note(&format!("warning: {}", one_line(message)))
            }
            // A failure is a note, because the end of the run prints it as an error, also with -q.
            (_, Some(EventLine::Failure(text) | EventLine::Note(text))) => self.ui.note(&text),
            (_, None) => {}
        }
    }

    fn close(&mut self) {}
}

/// The line for an event.
#[derive(Debug, PartialEq)]
pub(super) enum EventLine {
    Note(String),
    Failure(String),
}

/// Returns the line for an event, if it gets one.
pub(super) fn line(event: &Event) -> Option<EventLine> {
    Some(match &event.kind {
        EventKind::RunStarted { .. } => EventLine::Note(heading(event)?),
        EventKind::StepDone { candidate, step, seconds, detail } => {
            let detail = detail.as_deref().map_or_else(String::new, |text| format!(": {}", one_line(text)));
            EventLine::Note(format!(
                "{}{} done in {}{detail}",
                scope(candidate.as_deref()),
                step.label(),
                duration(*seconds)
            ))
        }
        // A failed step of the whole run ends it, and the end prints the error.
        EventKind::StepFailed { candidate: None, .. } => return None,
        EventKind::StepFailed { candidate: Some(candidate), step, error } => {
            EventLine::Failure(format!("{}{} failed: {}", scope(Some(candidate)), step.label(), one_line(error)))
        }
        EventKind::GpusAwaited { candidate, gpus, purpose } => {
            let gpus = counted(u64::from(*gpus), "GPU");
            EventLine::Note(format!("{}waits for {gpus} to {}", scope(Some(candidate)), purpose.in_words()))
        }
        EventKind::CandidateDone { candidate, state, .. } => {
            EventLine::Note(format!("{}{}", scope(Some(candidate)), state.as_str()))
        }
        EventKind::Stopping { reason } => {
            EventLine::Note(format!("stopping ({}): releasing everything", one_line(reason)))
        }
        EventKind::RunDone { state, seconds, .. } => {
            EventLine::Note(format!("run {} {} in {}", one_line(&event.run), state.as_str(), duration(*seconds)))
        }
        EventKind::StepStarted { .. }
        | EventKind::StepProgress { .. }
        | EventKind::GpusGranted { .. }
        | EventKind::ResourceLive { .. }
        | EventKind::ResourceReleased { .. }
        | EventKind::Warning { .. } => return None,
    })
}

/// Returns such as `run abcd2345: news_classifier on the embedded platform, 2 candidates, 4 GPUs`.
pub(super) fn heading(event: &Event) -> Option<String> {
    let EventKind::RunStarted { workload, platform, rehearsal, resumed, candidates, gpus } = &event.kind else {
        return None;
    };
    let mut text = if *rehearsal { "REHEARSAL run ".to_owned() } else { "run ".to_owned() };
    text += &one_line(&event.run);
    text += if *resumed { " continued: " } else { ": " };
    if let Some(workload) = workload {
        text += &format!("{} on ", one_line(workload));
    }
    text += platform.in_words();
    text += &format!(", {}", counted(candidates.len() as u64, "candidate"));
    text += &match gpus {
        Some(gpus) => format!(", {}", counted(u64::from(*gpus), "GPU")),
        None => ", one at a time".to_owned(),
    };
    Some(text)
}

fn scope(candidate: Option<&str>) -> String {
    candidate.map_or_else(String::new, |name| format!("{}: ", one_line(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::Step;
    use crate::ui::tests::{buffered, event, sample_run};

    #[test]
    fn a_line_per_step_and_nothing_for_progress() {
        let (ui, out, err) = buffered(false);
        let mut view = PlainView::new(&ui);
        for event in sample_run() {
            view.event(&event);
        }
        view.close();
        insta::assert_snapshot!(err.text());
        assert_eq!(out.text(), "");
    }

    #[test]
    fn a_warning_that_the_report_has_is_not_told_before_it() {
        let (ui, _, err) = buffered(false);
        let mut view = PlainView::new(&ui);
        for is_in_report in [true, false] {
            view.event(&event(EventKind::Warning { message: format!("reported: {is_in_report}"), is_in_report }));
        }
        assert_eq!(err.text(), "warning: reported: false\n");
    }

    #[test]
    fn quiet_leaves_what_went_wrong_to_the_end_of_the_run() {
        let (ui, _, err) = buffered(true);
        let mut view = PlainView::new(&ui);
        for event in sample_run() {
            view.event(&event);
        }
        assert_eq!(err.text(), "");
        let candidate = Some("meta/x\u{1b}[2J".to_owned());
        view.event(&event(EventKind::StepFailed { candidate, step: Step::Train, error: "job\nlost".into() }));
        assert_eq!(err.text(), "");
        let (ui, _, err) = buffered(false);
        let candidate = Some("meta/x\u{1b}[2J".to_owned());
        PlainView::new(&ui).event(&event(EventKind::StepFailed {
            candidate,
            step: Step::Train,
            error: "job\nlost".into(),
        }));
        assert_eq!(err.text(), "meta/x\u{fffd}[2J: train failed: job lost\n");
    }
}
