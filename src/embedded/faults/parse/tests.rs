//! The texts of faults: which are read, which are refused with which words, and which calls they match.

use std::time::Duration;

use super::*;
use crate::embedded::Clock;
use crate::embedded::faults::kind::{EarlyAnswer, FORMS, ForeignAnswer, HoldSpan, NO_REASON, ScriptedAnswer};

fn read(text: &str) -> FaultSpec {
    text.parse().unwrap_or_else(|bad| panic!("{text}: {bad}"))
}

fn refused(text: &str) -> String {
    text.parse::<FaultSpec>().expect_err(text).to_string()
}

#[test]
fn every_kind_is_read() {
    let cases = [
        ("refuse", FaultKind::Refuse),
        ("delay=500ms", FaultKind::Delay(HoldSpan::Time(Duration::from_millis(500)))),
        ("delay=3calls", FaultKind::Delay(HoldSpan::Calls(3))),
        ("status=503", FaultKind::Status(ScriptedAnswer { status: 503, page: false, retry_after: None })),
        (
            "status=502 page retry-after=7",
            FaultKind::Status(ScriptedAnswer { status: 502, page: true, retry_after: Some(7) }),
        ),
        ("drop-before", FaultKind::DropBefore),
        ("drop-after", FaultKind::DropAfter),
        ("twice", FaultKind::Twice),
        ("half", FaultKind::Half),
        ("day-behind", FaultKind::DayBehind),
        ("late-effect=release", FaultKind::LateEffect(HoldSpan::Release, EarlyAnswer::Status(503))),
        (
            "late-effect=2m answer=cut",
            FaultKind::LateEffect(HoldSpan::Time(Duration::from_secs(120)), EarlyAnswer::Cut),
        ),
        ("late-effect=1call answer=504", FaultKind::LateEffect(HoldSpan::Calls(1), EarlyAnswer::Status(504))),
        ("truncate=20", FaultKind::Truncate(20)),
        ("stall", FaultKind::Stall(None)),
        ("stall=0", FaultKind::Stall(Some(0))),
        ("fail-job", FaultKind::FailJob(NO_REASON.to_owned())),
        ("fail-job='CUDA: out of \"memory\"'", FaultKind::FailJob("CUDA: out of \"memory\"".to_owned())),
        ("stall-job='no such image'", FaultKind::StallJob("no such image".to_owned())),
        ("lose-job", FaultKind::LoseJob),
        ("slow-adapter=1h", FaultKind::SlowAdapter(HoldSpan::Time(Duration::from_secs(3600)))),
        ("slow-adapter=5polls", FaultKind::SlowAdapter(HoldSpan::Polls(5))),
        ("base-adapter=2replies", FaultKind::BaseAdapter(HoldSpan::Replies(2))),
        ("base-adapter=release", FaultKind::BaseAdapter(HoldSpan::Release)),
        ("expire-auth", FaultKind::ExpireAuth),
        ("echo", FaultKind::Echo),
        ("foreign=login", FaultKind::Foreign(ForeignAnswer::Login)),
        ("foreign=no-route", FaultKind::Foreign(ForeignAnswer::NoRoute)),
        ("foreign=not-found", FaultKind::Foreign(ForeignAnswer::NotFound)),
        ("foreign=empty", FaultKind::Foreign(ForeignAnswer::Empty)),
        ("foreign=ok", FaultKind::Foreign(ForeignAnswer::Ok)),
        ("foreign=no-content", FaultKind::Foreign(ForeignAnswer::NoContent)),
        ("foreign=spring", FaultKind::Foreign(ForeignAnswer::Spring)),
        ("foreign=fastapi", FaultKind::Foreign(ForeignAnswer::FastApi)),
        ("foreign=redirect", FaultKind::Foreign(ForeignAnswer::Redirect)),
        ("foreign=error-json", FaultKind::Foreign(ForeignAnswer::ErrorJson)),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (text, kind) in cases {
        let spec = read(text);
        assert_eq!((&spec.kind, spec.schedule), (&kind, Schedule::ALWAYS), "{text}");
        seen.insert(kind.name());
    }
    assert_eq!(seen.len(), FORMS.len(), "a kind is not tried");
    assert!(FORMS.iter().all(|(name, form)| seen.contains(name) && form.starts_with(name)));
}

#[test]
fn calls_are_meant_by_method_and_pattern() {
    let meant = |text: &str, call: &str| {
        let (method, path) = call.split_once(' ').unwrap();
        read(&format!("{text}refuse")).matches(method, path, false)
    };
    for (text, call, expected) in [
        ("", "GET /nim/v1/models", true),
        ("*: ", "GET /nim/v1/models", true),
        ("get: ", "GET /nim/v1/models", true),
        ("GET: ", "POST /nim/v1/models", false),
        ("POST /nemo/v1/customization/jobs: ", "POST /nemo/v1/customization/jobs", true),
        ("POST /nemo/v1/customization/jobs: ", "GET /nemo/v1/customization/jobs", false),
        ("POST /nemo/v1/customization/jobs: ", "POST /nemo/v1/customization/jobs/x/cancel", false),
        ("/nemo/v1/customization/jobs/*: ", "GET /nemo/v1/customization/jobs/cust-1", true),
        ("/nemo/v1/customization/jobs/*: ", "GET /nemo/v1/customization/jobs/cust-1/status", false),
        ("/nemo/v1/customization/jobs/*/status:\t", "GET /nemo/v1/customization/jobs/cust-1/status", true),
        ("/datastore/**: ", "PUT /datastore/v1/hf/api/datasets/a/b", true),
        ("/datastore/**: ", "PUT /nemo/v1/datasets", false),
        ("/**/jobs: ", "POST /nemo/v1/evaluation/jobs", true),
        ("/*/v1/models: ", "GET /nim/v1/models", true),
        ("/n*/v1/models: ", "GET /nemo/v1/models", true),
    ] {
        assert_eq!(meant(text, call), expected, "{text}{call}");
    }
    assert_eq!(read("  POST /nemo/v1/datasets:  refuse ").to_string(), "POST /nemo/v1/datasets:  refuse");
}

#[test]
fn the_evaluators_own_requests_are_struck_only_when_the_proxy_is_named() {
    let own = |text: &str| read(text).matches("POST", "/nim/v1/chat/completions", true);
    assert!(own("POST /nim/v1/chat/completions: status=500") && own("/nim/**: refuse"));
    assert!(!own("refuse") && !own("POST: refuse") && !own("/**/completions: refuse"));
}

#[test]
fn faults_of_jobs_strike_calls_that_make_jobs() {
    let failing = read("fail-job");
    for (method, path) in crate::embedded::faults::kind::CREATES {
        assert!(failing.matches(method, path, false), "{path}");
    }
    assert!(!failing.matches("POST", "/nemo/v1/datasets", false));
    let slow = read("slow-adapter=2polls");
    assert!(slow.matches("POST", "/nemo/v1/customization/jobs", false));
    assert!(!slow.matches("POST", "/nemo/v1/evaluation/jobs", false));
    assert!(read("/nemo/v1/evaluation/**: lose-job").matches("POST", "/nemo/v1/evaluation/jobs", false));
    assert!(refused("POST /nemo/v1/evaluation/jobs: slow-adapter=2polls").contains("POST /nemo/v1/customization/jobs"));
    assert!(refused("GET: fail-job").contains("POST /nemo/v1/deployment/model-deployments"));
}

/// Which of the first ten matching calls are struck.
fn struck(options: &str) -> Vec<u64> {
    let spec = read(&format!("refuse {options}"));
    let mut struck = Vec::new();
    for turn in 1..=10 {
        if spec.schedule.is_due(turn, struck.len() as u64) {
            struck.push(turn);
        }
    }
    struck
}

#[test]
fn options_say_which_turns_are_struck() {
    assert_eq!(struck(""), (1..=10).collect::<Vec<_>>());
    assert_eq!(struck("nth=3"), [3]);
    assert_eq!(struck("times=2"), [1, 2]);
    assert_eq!(struck("after=7"), [8, 9, 10]);
    assert_eq!(struck("every=3"), [3, 6, 9]);
    assert_eq!(struck("after=1 every=4 times=1"), [5]);
    assert_eq!(read("refuse probability=0.25 seed=7").schedule.chance, Some((250_000, 7)));
    assert_eq!(read("refuse probability=1").schedule.chance, Some((1_000_000, SEED)));
}

#[test]
fn refusals_say_what_is_allowed() {
    for (text, words) in [
        ("", "no fault is given; the faults are: refuse, delay=SPAN"),
        ("POST /nemo/v1/datasets:", "no fault is given"),
        ("statsu=503", "there is no fault `statsu` (status?); the faults are: "),
        ("POST /nemo/v1/datasets status=503", "a colon, a space and the fault"),
        ("FETCH /nemo/v1/datasets: refuse", "`FETCH` is neither a method (GET, POST"),
        ("nemo: refuse", "`nemo` is neither a method"),
        ("POST /nemo/a /nemo/b: refuse", "remove `/nemo/b`"),
        ("/v1/customization/jobs: refuse", "(/nemo, /nim or /datastore): did you mean /nemo/v1/customization/jobs?"),
        ("/control/hold: refuse", "does not begin with the base of a service"),
        ("/nemo/[: refuse", "is not a pattern"),
        ("status", "status needs a value: status=CODE"),
        ("status=", "status needs a value"),
        ("status=200", "400 to 599"),
        ("status=5O3", "`status=5O3`"),
        ("delay", "delay needs a value: delay=SPAN"),
        (
            "delay=2",
            "expected a time such as 500ms, 2s or 1m, a number of further platform calls such as 3calls, or release",
        ),
        ("delay=2polls", "3calls"),
        ("slow-adapter=2calls", "3polls"),
        ("base-adapter=2polls", "3replies"),
        ("delay=99999999999999999999s", "expected a time"),
        ("late-effect=1s answer=200", "or answer=cut"),
        ("truncate=-1", "a number of bytes"),
        ("refuse=now", "refuse takes no value, but has `now`"),
        ("status=503 page=1", "page takes no value"),
        ("refuse page", "refuse has no option `page`; its options are: nth=N"),
        ("status=503 oops", "its options are: retry-after=SECONDS, page, nth=N"),
        ("delay=1s status=503", "(that is a fault of its own: give it with a second --fault)"),
        ("refuse times=0", "times counts from 1"),
        ("refuse times=x", "expected a whole number"),
        ("refuse times=1 times=2", "times is given twice"),
        ("refuse nth=2 times=3", "nth=N strikes one call"),
        ("refuse probability=2", "a number from 0 to 1"),
        ("refuse probability=NaN", "a number from 0 to 1"),
        ("refuse seed=2", "seed needs probability"),
        ("expire-auth every=2", "expire-auth strikes all calls from one on"),
        ("fail-job='oops", "a quote ' is never closed"),
    ] {
        let said = refused(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn times_are_for_the_real_clock_and_release_is_for_control() {
    let fits = |text: &str, clock, control| read(text).fits(clock, control).map_err(|bad| bad.to_string());
    assert_eq!(fits("delay=1s", Clock::Real, false), Ok(()));
    assert!(fits("delay=1s", Clock::Polls, true).unwrap_err().contains("3calls"));
    assert!(fits("slow-adapter=1s", Clock::Polls, true).unwrap_err().contains("3polls"));
    assert!(fits("late-effect=release", Clock::Polls, false).unwrap_err().contains("--control"));
    assert!(fits("base-adapter=1s", Clock::Polls, true).unwrap_err().contains("3replies"));
    for text in ["late-effect=release", "late-effect=2calls", "slow-adapter=2polls", "base-adapter=2replies", "refuse"]
    {
        assert_eq!(fits(text, Clock::Polls, true), Ok(()), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(text in "[A-Z]{0,4}[ /*a-z:='\"0-9\\[\\]-]{0,40}") {
        if let Ok(spec) = text.parse::<FaultSpec>() {
            proptest::prop_assert_eq!(spec.to_string().parse::<FaultSpec>().unwrap(), spec);
        }
    }
}
