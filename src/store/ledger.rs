//! The ledger: every remote resource is a row before it is created, and the row is marked as released once the resource
//! is gone. `words` has the stored words.

use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::{Result, Store, now_ms};
use crate::vocabulary::PlatformId;

/// The kind of a remote resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A NIM deployment.
    Deployment,
    /// A customization job.
    Training,
    /// An evaluation job.
    Evaluation,
    /// A repository of the Data Store with its dataset entity.
    Dataset,
    /// A customization config.
    TrainingConfig,
    /// A trained adapter: its repository and its model entity.
    Adapter,
    /// A base model that was made from a repository. Runs share it, so each has a row of its own.
    BaseModel,
}

/// The reason to give a resource back, which decides when that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceClass {
    /// Takes GPUs. Every end of a run gives it back.
    Gpu,
    /// Takes storage. A purge deletes it.
    Storage,
    /// The product of the run. Only a purge deletes it.
    Product,
    /// Shared with other runs. A purge deletes it on request, once no other run has it.
    Shared,
    /// The record of a finished training job, which NeMo cannot delete.
    Record,
}

/// The state of a row of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResourceState {
    /// Written before the create. The platform may or may not have the resource.
    Intended,
    /// The platform has the resource.
    Live,
    /// The platform no longer has the resource.
    Released,
}

/// A resource that is about to be created.
#[derive(Clone, Debug)]
pub(crate) struct NewResource<'a> {
    pub run: &'a str,
    /// `None` for a resource of the whole run.
    pub candidate: Option<&'a str>,
    pub kind: ResourceKind,
    /// The name without an attempt number.
    pub base: &'a str,
    pub platform: &'a PlatformId,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    /// Grows in the order of the intents.
    pub id: i64,
    pub run: String,
    pub candidate: Option<String>,
    pub kind: ResourceKind,
    /// The name as created. A job carries it in its description.
    pub name: String,
    /// The id that the platform gave, where it differs from the name: of a job, or the full id of an adapter.
    pub remote_id: Option<String>,
    pub platform: PlatformId,
    pub state: ResourceState,
    /// The job has ended.
    pub finished: bool,
    /// When a lookup first found nothing, in ms UTC.
    pub looked_ms: Option<i64>,
    /// When the intent was written, in ms UTC.
    pub intended_ms: i64,
    /// When the platform was first known to have the resource, in ms UTC.
    pub live_ms: Option<i64>,
    /// When the resource was gone, or its job had ended, in ms UTC.
    pub released_ms: Option<i64>,
}

impl Resource {
    /// Returns the class that follows from the kind and the end of a job.
    pub(crate) fn class(&self) -> ResourceClass {
        match (self.kind, self.finished) {
            (ResourceKind::Deployment, _) | (ResourceKind::Training | ResourceKind::Evaluation, false) => {
                ResourceClass::Gpu
            }
            (ResourceKind::Evaluation, true) | (ResourceKind::Dataset | ResourceKind::TrainingConfig, _) => {
                ResourceClass::Storage
            }
            (ResourceKind::Adapter, _) => ResourceClass::Product,
            (ResourceKind::BaseModel, _) => ResourceClass::Shared,
            (ResourceKind::Training, true) => ResourceClass::Record,
        }
    }
}

const COLUMNS: &str = "id, run, candidate, kind, name, remote_id, platform, state, finished, looked_ms, intended_ms, \
                       live_ms, released_ms";

fn resource_of(row: &Row<'_>) -> rusqlite::Result<Resource> {
    Ok(Resource {
        id: row.get(0)?,
        run: row.get(1)?,
        candidate: row.get(2)?,
        kind: row.get(3)?,
        name: row.get(4)?,
        remote_id: row.get(5)?,
        platform: row.get(6)?,
        state: row.get(7)?,
        finished: row.get(8)?,
        looked_ms: row.get(9)?,
        intended_ms: row.get(10)?,
        live_ms: row.get(11)?,
        released_ms: row.get(12)?,
    })
}

impl Store {
    /// Writes an intent before a create. The name is `base`, or `base-N` for the N-th attempt, because a new attempt must
    /// not be mistaken for an earlier one of the same name.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn record_intent(&self, new: &NewResource<'_>) -> Result<Resource> {
        self.with("record an intent", |c| {
            // Immediate: SQLite refuses at once to turn a read into a write while another process writes.
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let earlier: i64 = transaction.query_row(
                "SELECT count(*) FROM resources WHERE run = ?1 AND kind = ?2 AND base = ?3",
                params![new.run, new.kind, new.base],
                |row| row.get(0),
            )?;
            let name = if earlier == 0 { new.base.to_owned() } else { attempt_name(new.base, earlier + 1) };
            transaction.execute(
                "INSERT INTO resources (run, candidate, kind, base, name, platform, state, intended_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'intended', ?7)",
                params![new.run, new.candidate, new.kind, new.base, name, new.platform, now_ms()],
            )?;
            let id = transaction.last_insert_rowid();
            let select = format!("SELECT {COLUMNS} FROM resources WHERE id = ?1");
            let resource = transaction.query_row(&select, [id], resource_of)?;
            transaction.commit()?;
            Ok(resource)
        })
    }

    /// Returns the resource of that base name that is not released.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn open_resource(&self, run: &str, kind: ResourceKind, base: &str) -> Result<Option<Resource>> {
        self.with("read the ledger", |c| {
            c.query_row(
                &format!(
                    "SELECT {COLUMNS} FROM resources
                     WHERE run = ?1 AND kind = ?2 AND base = ?3 AND state <> 'released' ORDER BY id DESC LIMIT 1"
                ),
                params![run, kind, base],
                resource_of,
            )
            .optional()
        })
    }

    /// Returns the base names of the resources of a candidate, released ones included, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn base_names(&self, run: &str, kind: ResourceKind, candidate: &str) -> Result<Vec<String>> {
        self.with("read the ledger", |c| {
            c.prepare("SELECT base FROM resources WHERE run = ?1 AND kind = ?2 AND candidate = ?3 ORDER BY id")?
                .query_map(params![run, kind, candidate], |row| row.get(0))?
                .collect()
        })
    }

    /// Starts an intent anew before its create is repeated: an earlier lookup says nothing about the new create.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn renew_intent(&self, id: i64) -> Result<()> {
        self.with("renew an intent", |c| {
            c.execute("UPDATE resources SET looked_ms = NULL, intended_ms = ?2 WHERE id = ?1", params![id, now_ms()])
        })?;
        Ok(())
    }

    /// Records that the platform has the resource, under this id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn mark_live(&self, id: i64, remote_id: Option<&str>) -> Result<()> {
        self.with("record a resource", |c| {
            c.execute(
                "UPDATE resources SET state = 'live', remote_id = coalesce(?2, remote_id),
                   live_ms = coalesce(live_ms, ?3), looked_ms = NULL WHERE id = ?1",
                params![id, remote_id, now_ms()],
            )
        })?;
        Ok(())
    }

    /// Records that a job has ended and takes no GPU any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn mark_finished(&self, id: i64) -> Result<()> {
        self.with("record the end of a job", |c| {
            c.execute(
                "UPDATE resources SET finished = 1, released_ms = coalesce(released_ms, ?2) WHERE id = ?1",
                params![id, now_ms()],
            )
        })?;
        Ok(())
    }

    /// Records that a lookup found nothing. Returns when that happened first, in ms UTC.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn record_vain_lookup(&self, id: i64) -> Result<i64> {
        self.with("record a lookup", |c| {
            c.execute("UPDATE resources SET looked_ms = coalesce(looked_ms, ?2) WHERE id = ?1", params![id, now_ms()])?;
            c.query_row("SELECT looked_ms FROM resources WHERE id = ?1", [id], |row| row.get(0))
        })
    }

    /// Records that the platform no longer has the resource.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn mark_released(&self, id: i64) -> Result<()> {
        self.with("record a release", |c| {
            // A purge deletes the job long after it gave its GPUs back.
            c.execute(
                "UPDATE resources SET state = 'released', released_ms = coalesce(released_ms, ?2) WHERE id = ?1",
                params![id, now_ms()],
            )
        })?;
        Ok(())
    }

    /// Returns the resources of a run that are not released, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn open_resources(&self, run: &str) -> Result<Vec<Resource>> {
        self.with("read the ledger", |c| {
            c.prepare(&format!(
                "SELECT {COLUMNS} FROM resources WHERE run = ?1 AND state <> 'released' ORDER BY id DESC"
            ))?
            .query_map([run], resource_of)?
            .collect()
        })
    }

    /// Reports whether another run has an open row of the same remote resource.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn is_shared(&self, resource: &Resource) -> Result<bool> {
        self.with("read the ledger", |c| {
            c.query_row(
                "SELECT EXISTS (SELECT 1 FROM resources WHERE run <> ?1 AND kind = ?2 AND platform = ?3
                 AND state <> 'released' AND coalesce(remote_id, name) = ?4)",
                params![
                    resource.run,
                    resource.kind,
                    resource.platform,
                    resource.remote_id.as_deref().unwrap_or(&resource.name)
                ],
                |row| row.get(0),
            )
        })
    }

    /// Returns all resources of a run, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn all_resources(&self, run: &str) -> Result<Vec<Resource>> {
        self.with("read the ledger", |c| {
            c.prepare(&format!("SELECT {COLUMNS} FROM resources WHERE run = ?1 ORDER BY id"))?
                .query_map([run], resource_of)?
                .collect()
        })
    }

    /// Returns what a run holds: its open resources of class GPU, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn held(&self, run: &str) -> Result<Vec<Resource>> {
        let mut open = self.open_resources(run)?;
        open.retain(|resource| resource.class() == ResourceClass::Gpu);
        Ok(open)
    }
}

/// Returns the name of a further attempt. The version of a config stays at the end.
fn attempt_name(base: &str, attempt: i64) -> String {
    match base.split_once('@') {
        Some((name, version)) => format!("{name}-{attempt}@{version}"),
        None => format!("{base}-{attempt}"),
    }
}
