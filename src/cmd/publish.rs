//! Sends a recorded run to where its plan says: MLflow, and an index of runs. A failure is a warning, because the run
//! itself has not failed.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::mlflow::TRACKING_URI;
use crate::config::plan::{MlflowPlan, Plan};
use crate::data::options::{IndexAt, LogSource};
use crate::data::userinfo;
use crate::mlflow::{self, Artifact, Login, MlflowClient};
use crate::report::document::{self, Extras, Form};
use crate::report::{assemble, run_document, tracked_run};
use crate::run::outcome::UNSENT;
use crate::run::signals::Interrupted;
use crate::source::credentials::Credentials;
use crate::source::dataset::MANIFEST_FILE;
use crate::source::log_store;
use crate::store::{RunRow, Store};

/// A recorded run that has ended.
#[derive(Clone, Copy)]
pub(super) struct Ended<'a> {
    pub(super) store: &'a Store,
    pub(super) row: &'a RunRow,
    pub(super) plan: &'a Plan,
    pub(super) state_dir: &'a Path,
}

/// Sends a run, unless `interrupted` ends first. Returns the warnings, which the report of the run has until it is sent again.
pub(super) async fn publish(
    run: Ended<'_>,
    interrupted: impl Future<Output = Interrupted>,
) -> anyhow::Result<Vec<String>> {
    if !is_asked(run.plan) {
        return Ok(Vec::new());
    }
    let limit = Duration::from_millis(run.plan.limits.publish_ms);
    let late = || anyhow::anyhow!("it took longer than limits.publish, {} s", limit.as_secs_f64());
    let to_server = async {
        let Some(server) = &run.plan.mlflow else { return Vec::new() };
        let to = format!("MLflow at {}", server.tracking_uri);
        match tokio::time::timeout(limit, to_mlflow(run, server)).await.unwrap_or_else(|_| Err(late())) {
            Ok(missing) => {
                missing.iter().map(|why| format!("run {} is in {to} without a part: {why}", run.row.id)).collect()
            }
            Err(error) => vec![unsent(run, &to, &format!("{error:#}"))],
        }
    };
    let to_search = async {
        let Some(at) = &run.plan.run_index else { return Vec::new() };
        let sent = to_index(run, at, limit).await;
        sent.err().map(|error| unsent(run, &format!("the index {at}"), &format!("{error:#}"))).into_iter().collect()
    };
    let warnings = tokio::select! {
        biased;
        (mut first, second) = async { tokio::join!(to_server, to_search) } => {
            first.extend(second);
            first
        }
        interrupted = interrupted => vec![unsent(run, "MLflow or the index of runs", &interrupted.to_string())],
    };
    run.store.remember(&run.row.id, UNSENT, &warnings)?;
    Ok(warnings)
}

/// Tells whether the plan sends runs anywhere.
pub(super) fn is_asked(plan: &Plan) -> bool {
    plan.mlflow.is_some() || plan.run_index.is_some()
}

fn unsent(run: Ended<'_>, to: &str, why: &str) -> String {
    let id = &run.row.id;
    format!("cannot send run {id} to {to}: {why}; `dfwfd report {id} --publish` sends it again")
}

async fn to_mlflow(run: Ended<'_>, server: &MlflowPlan) -> anyhow::Result<Vec<String>> {
    let Ended { store, row, plan, state_dir } = run;
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
    let report = if server.texts { report } else { report.without_texts() };
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
    let tracked = tracked_run::of(&report, row, plan, server, &folder, artifacts);
    let sent = mlflow::publish(&client, &tracked).await;
    sent.map_err(|error| match error.is_denied() {
        true => anyhow::anyhow!(
            "{error}: set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        ),
        false => error.into(),
    })
}

async fn to_index(run: Ended<'_>, at: &IndexAt, limit: Duration) -> anyhow::Result<()> {
    let environment = super::environment_of(run.plan);
    let source = LogSource::Elasticsearch(Box::new(at.clone()));
    let credentials = Credentials::find(&source, |name| environment.get(name));
    let report = assemble::assemble(run.store, run.row, run.state_dir)?;
    let (document, id, at) = (run_document::of(&report, run.row), run.row.id.clone(), at.clone());
    let write = move || log_store::write_run(&at, &credentials, &id, &document, limit);
    let written = tokio::task::spawn_blocking(write).await.context("the task that writes to the index ended")?;
    Ok(written?)
}
