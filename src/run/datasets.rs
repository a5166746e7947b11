//! The datasets of a run: made once from the records, then held on the platform.

use std::path::Path;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use super::context::RunContext;
use super::event::Step;
use super::hold::{Lookup, ResourceSpec};
use super::names;
use super::outcome::MANIFEST;
use super::signals::Stop;
use crate::data::options::{DatasetRequest, LogSource};
use crate::nemo::{NewDataset, StoredDataset, UploadFile};
use crate::numbers::count;
use crate::source::credentials::Credentials;
use crate::source::dataset::{self, Manifest};
use crate::store::{Resource, ResourceKind};

/// The end of the name of the eval set.
pub(crate) const EVAL: &str = "eval";

/// The end of the name of the training and validation sets.
pub(crate) const TRAIN: &str = "train";

/// The file of the eval set in its dataset.
pub(crate) const EVAL_FILE: &str = "eval_data.jsonl";

/// The project under which dfwfd registers datasets.
const PROJECT: &str = "dfwfd";

/// Returns the name of a dataset on the platform, with the attempt number if it was created again.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn name(run: &RunContext, suffix: &str) -> anyhow::Result<String> {
    let base = names::of_run(&run.id, suffix);
    Ok(run.store.open_resource(&run.id, ResourceKind::Dataset, &base)?.map_or(base, |row| row.name))
}

/// Makes the datasets, unless an earlier process has made them, and holds them on the platform.
///
/// # Errors
/// When the records cannot be used, or the platform does not take them.
pub(crate) async fn make_and_hold(run: &RunContext) -> anyhow::Result<Manifest> {
    let manifest = split(run).await?;
    run.store.describe_run(&run.id, Some(&manifest.workload))?;
    let upload = async {
        let namespace = &run.plan.platform.namespace;
        run.nemo
            .ensure_namespace(namespace)
            .await
            .with_context(|| format!("cannot create the namespace {namespace}"))?;
        hold(run, EVAL, &[(&run.dir.join(dataset::EVAL), EVAL_FILE)]).await?;
        let (train, validation) = (run.dir.join(dataset::TRAIN), run.dir.join(dataset::VALIDATION));
        let files = [(&train, "training/train_data.jsonl"), (&validation, "validation/val_data.jsonl")];
        // Without validation rows the Customizer splits off its own.
        let files = if manifest.validation == 0 { &files[..1] } else { &files[..] };
        hold(run, TRAIN, files).await
    };
    run.step(None, Step::Upload, upload, |_| None).await?;
    Ok(manifest)
}

/// Makes the datasets in a folder. Ends early when asked to stop.
///
/// # Errors
/// When the records cannot be used, or with [`super::signals::Interrupted`].
pub(crate) async fn build(
    request: &DatasetRequest,
    credentials: &Credentials,
    dir: &Path,
    stop: &Stop,
) -> anyhow::Result<Manifest> {
    let is_index = matches!(request.input, LogSource::Elasticsearch(_));
    let (request, credentials, dir, cancel) =
        (request.clone(), credentials.clone(), dir.to_owned(), CancellationToken::new());
    let cancelled = cancel.clone();
    let mut built =
        tokio::task::spawn_blocking(move || dataset::build(&request, &credentials, &dir, None, None, &cancelled));
    tokio::select! {
        built = &mut built => built.context("the task that makes the datasets ended early")?,
        interrupted = stop.asked() => {
            cancel.cancel();
            // A search server needs time to close its context. Other records may come from a pipe that never ends.
            if is_index {
                // The result does not matter any more.
                let _ = built.await;
            }
            Err(interrupted.into())
        }
    }
}

async fn split(run: &RunContext) -> anyhow::Result<Manifest> {
    let work = build(&run.plan.data, &run.credentials, &run.dir, &run.stop);
    run.step_once(MANIFEST, None, Step::Split, work, |manifest: &Manifest| {
        let [eval, train, validation] = [manifest.eval, manifest.train, manifest.validation].map(count);
        Some(format!("{eval} eval, {train} train, {validation} validation"))
    })
    .await
}

/// Holds a dataset of these local files, each with its path in the dataset.
///
/// # Errors
/// When the platform does not take it.
pub(super) async fn hold(
    run: &RunContext,
    suffix: &str,
    files: &[(&std::path::PathBuf, &str)],
) -> anyhow::Result<Resource> {
    let base = names::of_run(&run.id, suffix);
    let namespace = &run.plan.platform.namespace;
    let wanted = |row: &Resource| NewDataset {
        namespace: namespace.clone(),
        name: row.name.clone(),
        description: names::description(&row.name, &run.owner),
        project: PROJECT.to_owned(),
    };
    let look_up = |row: Resource| async move {
        let stored = match run.nemo.dataset(&wanted(&row)).await? {
            StoredDataset::Absent => return Ok(Lookup::Absent),
            StoredDataset::Different(difference) => {
                bail!("a dataset named {} exists and differs from the one of this run: {difference}", row.name)
            }
            StoredDataset::Files(stored) => stored,
        };
        let complete = files.iter().all(|(local, path)| {
            let size = std::fs::metadata(local).map(|meta| meta.len()).ok();
            stored.iter().any(|file| file.path == *path && Some(file.size) == size)
        });
        Ok(if complete { Lookup::Found(None) } else { Lookup::Absent })
    };
    let create = |row: Resource| async move {
        let upload = |(local, path): &(&std::path::PathBuf, &str)| UploadFile {
            path: (*path).to_owned(),
            local: local.to_path_buf(),
        };
        let uploads: Vec<UploadFile> = files.iter().map(upload).collect();
        run.nemo.create_dataset(&wanted(&row), &uploads).await.map(|()| None)
    };
    let spec = ResourceSpec { kind: ResourceKind::Dataset, base: &base, candidate: None, by_name: true };
    run.hold(spec, look_up, create).await.with_context(|| format!("cannot upload the dataset {base}"))
}
