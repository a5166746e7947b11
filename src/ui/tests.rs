//! The streams of the ui over buffers, and the events that the views are tried with.

use super::*;
use crate::run::event::{Event, EventKind, Step};
use crate::run::gpus::Share;
use crate::vocabulary::{CandidateState, PlatformKind, RunState};

/// The bytes written to a stream.
#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that fails.
struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn over(settings: Settings, out: Box<dyn Write + Send>) -> (Ui, Buffer) {
    let err = Buffer::default();
    let ui = Ui::over(Inner {
        settings,
        out: Mutex::new(Out { stream: out, closed: false, lost: None }),
        err: Mutex::new(Box::new(err.clone())),
        out_color: false,
        out_terminal: false,
        err_color: false,
        err_terminal: false,
        width: 80,
        said_json: AtomicBool::new(false),
        bars: Mutex::new(None),
    });
    (ui, err)
}

/// A human ui over buffers.
pub(crate) fn buffered(quiet: bool) -> (Ui, Buffer, Buffer) {
    let out = Buffer::default();
    let (ui, err) = over(Settings { quiet, ..Settings::default() }, Box::new(out.clone()));
    (ui, out, err)
}

fn json_ui(quiet: bool) -> (Ui, Buffer, Buffer) {
    let out = Buffer::default();
    let (ui, err) = over(Settings { quiet, format: Format::Json, ..Settings::default() }, Box::new(out.clone()));
    (ui, out, err)
}

/// An event of run abcd2345.
pub(crate) fn event(kind: EventKind) -> Event {
    Event { at: "2026-03-01T02:00:00.000Z".into(), run: "abcd2345".into(), kind }
}

/// One candidate in overlap, one that waits and fails.
pub(crate) fn sample_run() -> Vec<Event> {
    let (a, b) = (Some("dfwfd/ngram-small".to_owned()), Some("dfwfd/ngram-large".to_owned()));
    let name = |candidate: &Option<String>| candidate.clone().unwrap_or_default();
    let start = |candidate: &Option<String>, step| EventKind::StepStarted { candidate: candidate.clone(), step };
    let done = |candidate: &Option<String>, step, seconds, detail: Option<&str>| EventKind::StepDone {
        candidate: candidate.clone(),
        step,
        seconds,
        detail: detail.map(str::to_owned),
    };
    let progress = |candidate: &Option<String>, step, percent, loss| EventKind::StepProgress {
        candidate: candidate.clone(),
        step,
        percent,
        detail: None,
        train_loss: loss,
        validation_loss: None,
    };
    vec![
        event(EventKind::RunStarted {
            workload: Some("news_classifier".into()),
            platform: PlatformKind::Embedded,
            rehearsal: false,
            resumed: false,
            candidates: vec![name(&a), name(&b)],
            gpus: Some(4),
        }),
        event(start(&None, Step::Split)),
        event(done(&None, Step::Split, 0.21, Some("1,206 rows"))),
        event(start(&a, Step::Deploy)),
        event(EventKind::GpusAwaited { candidate: name(&b), gpus: 2, purpose: Share::Training }),
        event(done(&a, Step::Deploy, 0.4, None)),
        event(start(&a, Step::BaseEvaluation)),
        event(start(&a, Step::Train)),
        event(progress(&a, Step::Train, Some(37.5), Some(0.8312))),
        event(progress(&a, Step::BaseEvaluation, Some(50.0), None)),
        event(done(&a, Step::BaseEvaluation, 75.2, Some("macro F1 0.41"))),
        event(done(&a, Step::Train, 185.0, Some("loss 0.12"))),
        event(EventKind::CandidateDone { candidate: name(&a), state: CandidateState::Completed, error: None }),
        event(EventKind::GpusGranted { candidate: name(&b), gpus: 2, purpose: Share::Training, seconds: 189.0 }),
        event(start(&b, Step::Deploy)),
        event(EventKind::RunDone { state: RunState::Completed, exit_code: 0, seconds: 190.0 }),
    ]
}

fn chain() -> anyhow::Error {
    anyhow::anyhow!("connection refused")
        .context("GET http://nemo.test/v1/models")
        .context("checking the platform\u{1b}[2J")
}

#[test]
fn stdout_has_the_answer_and_stderr_the_rest() {
    let (ui, out, err) = buffered(false);
    ui.result("table");
    ui.payload("A=1\n");
    ui.json(&1);
    ui.note("noted");
    ui.warn("look");
    ui.hint("try `x`");
    assert_eq!(out.text(), "table\nA=1\n");
    assert_eq!(err.text(), "noted\nwarning: look\nhint: try `x`\n");
}

#[test]
fn quiet_keeps_what_is_wrong_and_what_programs_read() {
    let (ui, out, err) = buffered(true);
    ui.result("table");
    ui.note("noted");
    ui.hint("try");
    assert_eq!((out.text(), err.text()), (String::new(), String::new()));
    ui.payload("A=1");
    ui.error(&chain(), Exit::Service, Some("start it"));
    assert_eq!(out.text(), "A=1\n");
    insta::assert_snapshot!(err.text());
}

#[test]
fn json_says_one_line_also_when_quiet_and_also_when_failing() {
    for quiet in [false, true] {
        let (ui, out, err) = json_ui(quiet);
        ui.result("table");
        ui.error(&chain(), Exit::Service, Some("start it"));
        let lines: Vec<serde_json::Value> = out.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["schema"], 1);
        assert_eq!(lines[0]["exit_code"], 3);
        assert_eq!(lines[0]["error"]["message"], "checking the platform\u{1b}[2J");
        assert_eq!(lines[0]["error"]["causes"][1], "connection refused");
        assert_eq!(lines[0]["error"]["hint"], "start it");
        assert!(err.text().starts_with("error: checking the platform\u{fffd}[2J\n"));
    }
}

#[test]
fn a_command_with_its_own_object_prints_no_second() {
    let (ui, out, _) = json_ui(false);
    ui.json(&json!({"schema": 1, "note": "two\nlines"}));
    ui.error(&chain(), Exit::Failed, None);
    assert_eq!(out.text(), "{\"schema\":1,\"note\":\"two\\nlines\"}\n");
}

#[test]
fn a_reader_that_goes_away_is_success_and_a_full_disk_is_not() {
    let (ui, err) = over(Settings::default(), Box::new(Failing(io::ErrorKind::BrokenPipe)));
    ui.result("table");
    ui.result("more");
    assert_eq!((ui.lost(), err.text()), (None, String::new()));
    let (ui, _) = over(Settings::default(), Box::new(Failing(io::ErrorKind::StorageFull)));
    ui.result("table");
    assert!(ui.lost().is_some());
}

#[test]
fn log_lines_reach_stderr_whole() {
    let (ui, _, err) = buffered(false);
    writeln!(ui.stderr(), "DEBUG a line").unwrap();
    assert_eq!(err.text(), "DEBUG a line\n");
}
