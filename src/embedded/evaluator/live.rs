//! Live evaluation (nemo-wire 6.1): a few rows that come with the request, scored while the client waits. Nothing of it
//! is kept.

use serde_json::{Value, json};

use super::request::Plan;
use super::results;
use super::work::{self, Work};
use crate::embedded::wire::{naive_now, new_id};
use crate::embedded::world::World;

/// The answer to a live evaluation.
pub(super) async fn evaluate(world: &World, plan: &Plan) -> Value {
    let id = new_id("eval");
    let work = Work::new(&id);
    let scored = work::run(world, &work, plan).await;
    let (status, message, result) = match &scored {
        Ok(tasks) => {
            let mut result = results::summary(&id, "default", &naive_now(), tasks);
            // No files are kept of it.
            result["files_url"] = Value::Null;
            ("completed", "Job completed successfully.", result)
        }
        Err(why) => ("failed", why.as_str(), Value::Null),
    };
    let mut tasks = json!({});
    for task in &plan.tasks {
        tasks[&task.name] = json!(status);
    }
    let (done, total) = work.progress();
    let progress = 100.0 * done as f64 / total.max(1) as f64;
    json!({"status": status, "result": result, "logs": null, "status_details":
        {"message": message, "task_status": tasks, "progress": progress, "samples_processed": done}})
}
