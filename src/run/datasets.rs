//! The datasets of a run: made once from the records, then held on the platform.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::cx::{Cx, Look, Spec};
use super::event::Step;
use super::names;
use super::outcome::MANIFEST;
use super::stop::Stop;
use crate::data::options::{DatasetRequest, LogSource};
use crate::nemo::{NewDataset, StoredDataset, UploadFile};
use crate::source::Halt;
use crate::source::credentials::Credentials;
use crate::source::dataset::{self, Manifest};
use crate::store::{Resource, ResourceKind};

/// The kind in the name of the eval set.
pub const EVAL: &str = "eval";

/// The kind in the name of the training and validation sets.
pub const TRAIN: &str = "train";

/// The file of the eval set in its dataset.
pub const EVAL_FILE: &str = "eval_data.jsonl";

/// The word that groups what dfwfd registers.
const PROJECT: &str = "dfwfd";

/// The name of a dataset of this run on the platform: with an attempt number, if it had to be made again.
///
/// # Errors
/// When the ledger cannot be read.
pub fn name(cx: &Cx, kind: &str) -> anyhow::Result<String> {
    let base = names::of_run(&cx.run, kind);
    Ok(cx.store.open_resource(&cx.run, ResourceKind::Dataset, &base)?.map_or(base, |row| row.name))
}

/// Makes the datasets, unless an earlier process has, and holds them on the platform.
///
/// # Errors
/// When the records cannot be used, or the platform does not take them.
pub async fn make(cx: &Cx) -> anyhow::Result<Manifest> {
    let manifest = split(cx).await?;
    cx.store.describe_run(&cx.run, Some(&manifest.workload))?;
    let upload = async {
        let namespace = &cx.plan.platform.namespace;
        cx.nemo.ensure_namespace(namespace).await.with_context(|| format!("making the namespace {namespace}"))?;
        hold(cx, EVAL, &[(&cx.dir.join(dataset::EVAL), EVAL_FILE)]).await?;
        let (train, validation) = (cx.dir.join(dataset::TRAIN), cx.dir.join(dataset::VALIDATION));
        let files = [(&train, "training/train_data.jsonl"), (&validation, "validation/val_data.jsonl")];
        // A validation set of no rows is left out: the customizer then splits off its own.
        let files = if manifest.validation == 0 { &files[..1] } else { &files[..] };
        hold(cx, TRAIN, files).await
    };
    cx.step(None, Step::Upload, upload, |_| None).await?;
    Ok(manifest)
}

/// Makes the datasets in a folder, unless it is asked to stop.
///
/// # Errors
/// When the records cannot be used, or with [`super::stop::Interrupted`].
pub async fn build(
    request: &DatasetRequest,
    credentials: &Credentials,
    dir: &Path,
    stop: &Stop,
) -> anyhow::Result<Manifest> {
    let is_index = matches!(request.input, LogSource::Elasticsearch(_));
    let (request, credentials, dir, halt) = (request.clone(), credentials.clone(), dir.to_owned(), Halt::default());
    let halted = halt.clone();
    let mut built = tokio::task::spawn_blocking(move || dataset::build(&request, &credentials, &dir, None, &halted));
    tokio::select! {
        built = &mut built => built.context("the task that makes the datasets")?,
        interrupted = stop.asked() => {
            halt.ask();
            // What is open at a server is closed first. Other records may come from a pipe that never ends.
            if is_index {
                // What it says does not matter any more.
                let _ = built.await;
            }
            Err(interrupted.into())
        }
    }
}

async fn split(cx: &Cx) -> anyhow::Result<Manifest> {
    let work = build(&cx.plan.data, &cx.credentials, &cx.dir, &cx.stop);
    cx.step_once(MANIFEST, None, Step::Split, work, |manifest: &Manifest| {
        Some(format!("{} eval, {} train, {} validation", manifest.eval, manifest.train, manifest.validation))
    })
    .await
}

async fn hold(cx: &Cx, kind: &str, files: &[(&std::path::PathBuf, &str)]) -> anyhow::Result<Resource> {
    let base = names::of_run(&cx.run, kind);
    let namespace = &cx.plan.platform.namespace;
    let wanted = |row: &Resource| NewDataset {
        namespace: namespace.clone(),
        name: row.name.clone(),
        description: names::description(&row.name, &cx.owner),
        project: PROJECT.to_owned(),
    };
    let look = |row: Resource| async move {
        let stored = match cx.nemo.dataset(&wanted(&row)).await? {
            StoredDataset::Absent => return Ok(Look::Absent),
            StoredDataset::Different(difference) => {
                bail!("a dataset named {} is there and is not the wanted one: {difference}", row.name)
            }
            StoredDataset::Files(stored) => stored,
        };
        let complete = files.iter().all(|(local, path)| {
            let size = std::fs::metadata(local).map(|meta| meta.len()).ok();
            stored.iter().any(|file| file.path == *path && Some(file.size) == size)
        });
        Ok(if complete { Look::There(None) } else { Look::Absent })
    };
    let create = |row: Resource| async move {
        let upload = |(local, path): &(&std::path::PathBuf, &str)| UploadFile {
            path: (*path).to_owned(),
            local: local.to_path_buf(),
        };
        let uploads: Vec<UploadFile> = files.iter().map(upload).collect();
        cx.nemo.create_dataset(&wanted(&row), &uploads).await.map(|()| None)
    };
    let spec = Spec { kind: ResourceKind::Dataset, base: &base, candidate: None, by_name: true };
    cx.hold(spec, look, create).await.with_context(|| format!("uploading the dataset {base}"))
}
