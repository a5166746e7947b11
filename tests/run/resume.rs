//! Runs that failed, or completed only in part, are continued: what is done stays, what failed is done again.

use serde_json::Value;

use super::control::{Home, Platform, scores};
use super::faults::{DEPLOYMENTS, EVALUATIONS, TRAININGS, count, failing, jobs, nothing_held, run, struck};

/// Continues the newest run of a home.
fn resume(platform: &Platform, home: &Home) -> Value {
    platform.dfwfd(home, &["run", "--resume", "--format", "json"]).expect(0).json()
}

#[test]
fn a_partial_run_keeps_the_candidate_that_is_done_and_runs_the_other_again() {
    let wanted = scores(&run(&Platform::start(&[]), &Home::new(2, "8")).expect(0).json());
    let home = Home::new(2, "8");
    let platform = failing(&[&format!("{TRAININGS}: fail-job='out of memory' nth=1")]);
    let partial = run(&platform, &home).expect(4);
    partial.says("dfwfd run --resume");
    let before = partial.json();
    // Counts calls from here on.
    platform.hold(u64::MAX, "before");
    let report = resume(&platform, &home);
    assert_eq!((&report["run"], &report["state"]), (&before["run"], &"completed".into()));
    assert_eq!(scores(&report), wanted);
    // The base model of the failed candidate had its scores, and all of the other.
    assert_eq!((count(&platform, EVALUATIONS), count(&platform, TRAININGS), count(&platform, DEPLOYMENTS)), (1, 1, 1));
    assert_eq!((jobs(&platform, "training_jobs"), struck(&platform)), (3, vec![1]));
    let errors: Vec<&Value> = report["candidates"].as_array().unwrap().iter().map(|one| &one["error"]).collect();
    assert!(errors.iter().all(|error| error.is_null()), "{report:#}");
    nothing_held(&platform, &report);
    platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
    platform.dfwfd(&home, &["run", "--resume", before["run"].as_str().unwrap()]).expect(2).says("it has completed");
}

#[test]
fn a_failed_run_goes_on_where_it_failed() {
    let wanted = scores(&run(&Platform::start(&[]), &Home::new(1, "8")).expect(0).json());
    let cases = [
        ("POST /nemo/v1/datasets", "status=422 times=1", 1),
        (DEPLOYMENTS, "status=422 times=1", 1),
        (DEPLOYMENTS, "fail-job='no image' nth=1", 1),
        (TRAININGS, "status=422 times=1", 1),
        (TRAININGS, "lose-job nth=1", 1),
        (EVALUATIONS, "fail-job='no rows' nth=1", 1),
        ("GET /nemo/v1/evaluation/jobs/*/download-results", "status=422 times=1", 1),
    ];
    for (call, fault, code) in cases {
        for gpus in ["8", "1"] {
            let home = Home::new(1, gpus);
            let platform = failing(&[&format!("{call}: {fault}")]);
            let failed = run(&platform, &home).expect(code).json();
            assert_eq!(failed["state"], "failed", "{call} {fault}");
            nothing_held(&platform, &failed);
            let report = resume(&platform, &home);
            assert_eq!((&report["state"], scores(&report)), (&"completed".into(), wanted.clone()), "{call} {fault}");
            nothing_held(&platform, &report);
            platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]).expect(0);
            assert_eq!(platform.purgeable(), Vec::<String>::new(), "{call} {fault}");
        }
    }
}

#[test]
fn a_warning_that_no_longer_holds_is_gone_after_resume() {
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{TRAININGS}: fail-job nth=1")]);
    let of_base = |report: &Value| report["warnings"].to_string().contains("base dfwfd/ngram-small never predicts");
    // Only the base model was measured, and it does not know the classes well.
    let failed = run(&platform, &home).expect(1).json();
    let report = resume(&platform, &home);
    assert!(!of_base(&report), "{failed:#} {report:#}");
    assert!(of_base(&failed), "{failed:#}");
}
