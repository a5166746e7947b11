//! Live evaluation (docs/nemo-api.md, Evaluation calls): scores a few rows of the request while the client waits, and
//! keeps nothing.

use serde_json::{Value, json};

use super::job_request::EvaluationPlan;
use super::{results, scoring};
use crate::embedded::backend::Backend;
use crate::embedded::state::evaluation::EvaluationWork;
use crate::embedded::wire::stamps::{naive_now, new_id};

/// Runs a live evaluation, and returns the answer.
pub(crate) async fn evaluate(backend: &Backend, plan: &EvaluationPlan) -> Value {
    let id = new_id("eval");
    let work = EvaluationWork::default();
    let scored = scoring::run(backend, &work, plan).await;
    let (status, message, result) = match &scored {
        Ok(tasks) => {
            let mut result = results::summary(&id, "default", &naive_now(), tasks);
            // No files are kept.
            result["files_url"] = Value::Null;
            ("completed", "Job completed successfully.", result)
        }
        Err(why) => ("failed", why.as_str(), Value::Null),
    };
    let mut tasks = json!({});
    for task in &plan.tasks {
        tasks[&task.name] = json!(status);
    }
    let rows = work.progress();
    let progress = 100.0 * rows.done as f64 / rows.total.max(1) as f64;
    json!({"status": status, "result": result, "logs": null, "status_details":
        {"message": message, "task_status": tasks, "progress": progress, "samples_processed": rows.done}})
}
