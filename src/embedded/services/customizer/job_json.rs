//! Training jobs as the Customizer answers them (docs/nemo-api.md, Following a training job).

use serde_json::{Value, json};

use crate::embedded::state::training::Training;

/// Returns the status object.
pub(super) fn status(job: &Training, is_polled: bool) -> Value {
    let progress = job.progress(is_polled);
    let status = job.status(is_polled);
    // On the polled clock, a running job is half way through its epochs.
    let epochs = if status == "running" && is_polled { job.epochs / 2 } else { progress.epoch };
    let percentage = match status {
        "completed" => 100.0,
        _ => f64::from(epochs) / f64::from(job.epochs.max(1)) * 100.0,
    };
    let known = progress.steps > 0;
    let points = |points: &[(u32, String, f64)]| -> Vec<Value> {
        let point = |(step, time, value): &(u32, String, f64)| json!({"step": step, "timestamp": time, "value": value});
        points.iter().map(point).collect()
    };
    json!({
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "status": status,
        "elapsed_time": 0.0,
        "percentage_done": percentage,
        "epochs_completed": epochs,
        "steps_completed": progress.step,
        "steps_per_epoch": known.then_some(progress.steps_per_epoch),
        "best_epoch": progress.best_epoch(),
        "train_loss": progress.train.last().map(|point| point.2),
        "val_loss": progress.validation.last().map(|point| point.2),
        "metrics": {
            "keys": ["train_loss", "val_loss"],
            "metrics": {"train_loss": points(&progress.train), "val_loss": points(&progress.validation)},
        },
        "status_logs": job.log,
    })
}

/// Returns the whole job.
pub(super) fn job(job: &Training, is_polled: bool) -> Value {
    let mut details = status(job, is_polled);
    if let Some(details) = details.as_object_mut() {
        details.shift_remove("status");
    }
    let mut answer = json!({
        "id": job.id,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "namespace": job.namespace,
        "output_model": job.output_model,
        "files_url": job.files_url,
        "status": job.status(is_polled),
        "status_details": details,
    });
    if let (Some(answer), Value::Object(body)) = (answer.as_object_mut(), job.body()) {
        answer.extend(body);
    }
    answer
}

/// Returns the log as container logs of one pod.
pub(super) fn container_logs(job: &Training, is_polled: bool) -> Value {
    let mut text = String::new();
    for entry in &job.log {
        text.push_str(&format!("{} {}", entry.updated_at, entry.message));
        text.extend(entry.detail.iter().flat_map(|detail| [" ", detail]));
        text.push('\n');
    }
    for (step, time, loss) in job.progress(is_polled).train {
        text.push_str(&format!("{time} step {step} train_loss {loss:.6}\n"));
    }
    let pod = format!("{}-training-job", job.id.to_lowercase());
    let status = json!({"phase": job.status(is_polled)});
    json!({
        "entries": {pod: {"object": null, "status": status, "logs": {"main": text}, "events": []}},
        "error": null,
    })
}
