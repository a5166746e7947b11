//! Evaluation jobs as the Evaluator answers them (docs/nemo-api.md, Evaluation jobs).

use serde_json::{Value, json};

use crate::embedded::state::evaluation::Evaluation;

/// Returns the status object.
pub(super) fn status(job: &Evaluation, is_polled: bool) -> Value {
    let rows = job.progress();
    let status = job.status(is_polled);
    let (progress, samples) = match status {
        "running" if is_polled => (Some(50.0), None),
        "created" | "pending" => (None, None),
        "completed" => (Some(100.0), Some(rows.done)),
        _ if rows.done == 0 || is_polled => (None, None),
        _ => (Some(100.0 * rows.done as f64 / rows.total.max(1) as f64), Some(rows.done)),
    };
    let task = match status {
        "created" | "pending" => None,
        "completed" | "failed" => Some(status),
        "cancelled" => Some("failed"),
        _ => Some("running"),
    };
    let mut tasks = json!({});
    for name in job.body["config"]["tasks"].as_object().into_iter().flatten().map(|(name, _)| name) {
        if let Some(task) = task {
            tasks[name] = json!(task);
        }
    }
    json!({"message": job.message(), "task_status": tasks, "progress": progress, "samples_processed": samples})
}

/// Returns the whole job.
pub(super) fn job(job: &Evaluation, is_polled: bool) -> Value {
    let mut answer = json!({
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "id": job.id,
        "namespace": job.namespace,
        "result": job.results().map(|(result, _, _)| result),
        "output_files_url": job.results().map(|(_, files_url, _)| files_url),
        "status_details": status(job, is_polled),
        "status": job.status(is_polled),
    });
    if let (Some(answer), Some(body)) = (answer.as_object_mut(), job.body.as_object()) {
        answer.extend(body.clone());
    }
    answer
}

/// Returns the log, one line for each known event.
pub(super) fn log(job: &Evaluation, is_polled: bool) -> String {
    let details = status(job, is_polled);
    let mut log = format!("{} INFO {} created\n", job.created_at, job.id);
    for (task, status) in details["task_status"].as_object().into_iter().flatten() {
        log.push_str(&format!("{} INFO task {task} {}\n", job.updated_at, status.as_str().unwrap_or_default()));
    }
    let rows = job.progress();
    log.push_str(&format!("{} INFO {} of {} samples evaluated\n", job.updated_at, rows.done, rows.total));
    let level = if job.has_failed() { "ERROR" } else { "INFO" };
    let message = details["message"].as_str().unwrap_or_default();
    log.push_str(&format!("{} {level} {} {message}\n", job.updated_at, job.status(is_polled)));
    log
}
