//! Sends a recorded run to where its plan says. A failure is a warning, because the run itself has not failed.

use std::path::Path;
use std::time::Duration;

use crate::config::mlflow::TRACKING_URI;
use crate::config::plan::{MlflowPlan, Plan};
use crate::data::userinfo;
use crate::mlflow::{self, Artifact, Login, MlflowClient};
use crate::report::document::{self, Extras, Form};
use crate::report::{assemble, tracked_run};
use crate::run::outcome::UNSENT;
use crate::run::signals::Interrupted;
use crate::source::dataset::MANIFEST_FILE;
use crate::store::{RunRow, Store};

/// Sends a run that has ended, unless `interrupted` ends first. Returns the warnings, which the report of the run has until it is
/// sent again.
pub(super) async fn publish(
    store: &Store,
    row: &RunRow,
    plan: &Plan,
    state_dir: &Path,
    interrupted: impl Future<Output = Interrupted>,
) -> anyhow::Result<Vec<String>> {
    let Some(server) = &plan.mlflow else { return Ok(Vec::new()) };
    let limit = Duration::from_millis(plan.limits.publish_ms);
    let at = &server.tracking_uri;
    let sent = tokio::select! {
        sent = tokio::time::timeout(limit, to_mlflow(store, row, plan, server, state_dir)) => match sent {
            Ok(sent) => sent.map_err(|error| format!("{error:#}")),
            Err(_) => Err(format!("it took longer than limits.publish, {} s", limit.as_secs_f64())),
        },
        interrupted = interrupted => Err(interrupted.to_string()),
    };
    let warnings = match sent {
        Ok(missing) => {
            let told = |why| format!("run {} is in MLflow at {at} without a part: {why}", row.id);
            missing.into_iter().map(told).collect()
        }
        Err(why) => {
            let again = format!("`dfwfd report {} --publish` sends it again", row.id);
            vec![format!("cannot send run {} to MLflow at {at}: {why}; {again}", row.id)]
        }
    };
    store.remember(&row.id, UNSENT, &warnings)?;
    Ok(warnings)
}

async fn to_mlflow(
    store: &Store,
    row: &RunRow,
    plan: &Plan,
    server: &MlflowPlan,
    state_dir: &Path,
) -> anyhow::Result<Vec<String>> {
    let environment = super::environment_of(plan);
    let get = |name: &str| environment.get(name);
    // The user of one server must not be sent to another.
    let in_url = get(TRACKING_URI).map(userinfo::apart);
    let in_url =
        in_url.filter(|(url, _)| url.trim_end_matches('/') == server.tracking_uri).and_then(|(_, login)| login);
    let authority = get("MLFLOW_TRACKING_SERVER_CERT_PATH").map(Path::new);
    let client = MlflowClient::new(&server.tracking_uri, Login::find(in_url, get), authority)?;
    let folder = state_dir.join("runs").join(&row.id);
    let report = assemble::assemble(store, row, state_dir)?;
    let extras = Extras::of(store, row, &report, state_dir, server.texts)?;
    let page = document::render(&report, &extras, Form::Html)?;
    let artifact = |name, content_type, bytes| Artifact { name, content_type, bytes };
    let mut artifacts = vec![
        artifact("report.json", "application/json", serde_json::to_vec(&report)?),
        artifact("report.html", "text/html", page.into_bytes()),
    ];
    if let Ok(manifest) = std::fs::read(folder.join(MANIFEST_FILE)) {
        artifacts.push(artifact(MANIFEST_FILE, "application/json", manifest));
    }
    let run = tracked_run::of(&report, row, plan, server, &folder, artifacts);
    let sent = mlflow::publish(&client, &run).await;
    sent.map_err(|error| match error.is_denied() {
        true => anyhow::anyhow!(
            "{error}: set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        ),
        false => error.into(),
    })
}
