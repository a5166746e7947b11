//! The ledger: every remote resource is a row before it is created, and is ticked off when it is gone.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::{Result, Store, now_ms};

/// What kind of remote thing a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A NIM deployment.
    Deployment,
    /// A customization job.
    Training,
    /// An evaluation job.
    Evaluation,
    /// A dataset: its repository in the Data Store and its entity.
    Dataset,
    /// A customization config.
    TrainingConfig,
    /// A trained adapter: its repository and its entity.
    Adapter,
}

/// What is at stake while a row is open: which exits give it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Takes GPUs; given back at every exit.
    Gpu,
    /// Takes storage; deleted by a purge.
    Storage,
    /// What the run was for; deleted by a purge only.
    Product,
    /// Nothing that can be given back: the record of a finished training job.
    Record,
}

/// How far a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Written before the create; whether the platform has it is not known.
    Intended,
    /// The platform has it.
    Live,
    /// The platform does not have it any more.
    Released,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Deployment, "deployment"),
    (Kind::Training, "training"),
    (Kind::Evaluation, "evaluation"),
    (Kind::Dataset, "dataset"),
    (Kind::TrainingConfig, "training_config"),
    (Kind::Adapter, "adapter"),
];

const STATES: [(State, &str); 3] =
    [(State::Intended, "intended"), (State::Live, "live"), (State::Released, "released")];

fn word<T: PartialEq + Copy>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(v, _)| *v == value).map_or("", |(_, w)| w)
}

fn value<T: Copy>(table: &[(T, &'static str)], word: ValueRef<'_>) -> FromSqlResult<T> {
    let word = word.as_str()?;
    table.iter().find(|(_, w)| *w == word).map(|(v, _)| *v).ok_or(FromSqlError::InvalidType)
}

impl Kind {
    /// The word for it in tables, events and the database.
    pub fn as_str(self) -> &'static str {
        word(&KINDS, self)
    }
}

impl State {
    /// The word for it in tables and the database.
    pub fn as_str(self) -> &'static str {
        word(&STATES, self)
    }
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Kind {
    fn column_result(word: ValueRef<'_>) -> FromSqlResult<Kind> {
        value(&KINDS, word)
    }
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for State {
    fn column_result(word: ValueRef<'_>) -> FromSqlResult<State> {
        value(&STATES, word)
    }
}

/// What is written before a create.
#[derive(Clone, Debug)]
pub struct NewResource<'a> {
    /// The run that it belongs to.
    pub run: &'a str,
    /// The candidate that it belongs to; `None`: the whole run.
    pub candidate: Option<&'a str>,
    /// What it is.
    pub kind: Kind,
    /// Its name without an attempt number.
    pub base: &'a str,
    /// The identity of the platform: its base URLs, or the instance of an in-process platform.
    pub platform: &'a str,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Row id, in order of intent.
    pub id: i64,
    /// The run that it belongs to.
    pub run: String,
    /// The candidate that it belongs to.
    pub candidate: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Its name: as created, or for a job in its description.
    pub name: String,
    /// What the platform calls it, where that is not its name: a job id, an adapter's full id.
    pub remote_id: Option<String>,
    /// The identity of the platform.
    pub platform: String,
    /// How far it is.
    pub state: State,
    /// A job that has reached its end.
    pub finished: bool,
    /// When it was last looked up in vain, ms UTC.
    pub looked_ms: Option<i64>,
    /// When it was intended, ms UTC.
    pub intended_ms: i64,
}

impl Resource {
    /// What is at stake, from kind and state.
    pub fn class(&self) -> Class {
        match (self.kind, self.finished) {
            (Kind::Deployment, _) | (Kind::Training | Kind::Evaluation, false) => Class::Gpu,
            (Kind::Evaluation, true) | (Kind::Dataset | Kind::TrainingConfig, _) => Class::Storage,
            (Kind::Adapter, _) => Class::Product,
            (Kind::Training, true) => Class::Record,
        }
    }
}

const COLUMNS: &str = "id, run, candidate, kind, name, remote_id, platform, state, finished, looked_ms, intended_ms";

fn read(row: &Row<'_>) -> rusqlite::Result<Resource> {
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
    })
}

impl Store {
    /// Writes an intent before a create. The name is `base`, or `base-N` for the N-th attempt when earlier rows of that
    /// base are ticked off (a new attempt must not be mistaken for the old one by its name).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn intend(&self, new: &NewResource<'_>) -> Result<Resource> {
        self.with("writing an intent", |c| {
            // Immediate: a read that turns into a write is refused at once while another process writes.
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
            let row = transaction.query_row(&format!("SELECT {COLUMNS} FROM resources WHERE id = ?1"), [id], read)?;
            transaction.commit()?;
            Ok(row)
        })
    }

    /// The open row (intended or live) of that base name, if there is one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_resource(&self, run: &str, kind: Kind, base: &str) -> Result<Option<Resource>> {
        self.with("reading the ledger", |c| {
            c.query_row(
                &format!(
                    "SELECT {COLUMNS} FROM resources
                     WHERE run = ?1 AND kind = ?2 AND base = ?3 AND state <> 'released' ORDER BY id DESC LIMIT 1"
                ),
                params![run, kind, base],
                read,
            )
            .optional()
        })
    }

    /// An intent is acted on again: what was looked for before says nothing about what may appear from now on.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn renew(&self, id: i64) -> Result<()> {
        self.with("renewing an intent", |c| {
            c.execute("UPDATE resources SET looked_ms = NULL, intended_ms = ?2 WHERE id = ?1", params![id, now_ms()])
        })?;
        Ok(())
    }

    /// The platform has it, under this id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn live(&self, id: i64, remote_id: Option<&str>) -> Result<()> {
        self.with("recording a resource", |c| {
            c.execute(
                "UPDATE resources SET state = 'live', remote_id = coalesce(?2, remote_id),
                   live_ms = coalesce(live_ms, ?3), looked_ms = NULL WHERE id = ?1",
                params![id, remote_id, now_ms()],
            )
        })?;
        Ok(())
    }

    /// A job has reached its end: it takes no GPU any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn finished(&self, id: i64) -> Result<()> {
        self.with("recording the end of a job", |c| {
            c.execute("UPDATE resources SET finished = 1 WHERE id = ?1", [id])
        })?;
        Ok(())
    }

    /// An intent was looked up in vain; returns when that happened first, ms UTC.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn looked_in_vain(&self, id: i64) -> Result<i64> {
        self.with("recording a look-up", |c| {
            c.execute("UPDATE resources SET looked_ms = coalesce(looked_ms, ?2) WHERE id = ?1", params![id, now_ms()])?;
            c.query_row("SELECT looked_ms FROM resources WHERE id = ?1", [id], |row| row.get(0))
        })
    }

    /// The platform does not have it any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn released(&self, id: i64) -> Result<()> {
        self.with("ticking off a resource", |c| {
            c.execute("UPDATE resources SET state = 'released', released_ms = ?2 WHERE id = ?1", params![id, now_ms()])
        })?;
        Ok(())
    }

    /// What a run still has on the platform, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_resources(&self, run: &str) -> Result<Vec<Resource>> {
        self.with("reading the ledger", |c| {
            c.prepare(&format!(
                "SELECT {COLUMNS} FROM resources WHERE run = ?1 AND state <> 'released' ORDER BY id DESC"
            ))?
            .query_map([run], read)?
            .collect()
        })
    }

    /// Every row of a run, oldest first, ticked off or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn all_resources(&self, run: &str) -> Result<Vec<Resource>> {
        self.with("reading the ledger", |c| {
            c.prepare(&format!("SELECT {COLUMNS} FROM resources WHERE run = ?1 ORDER BY id"))?
                .query_map([run], read)?
                .collect()
        })
    }

    /// What a run holds: open rows of class GPU, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn held(&self, run: &str) -> Result<Vec<Resource>> {
        let mut open = self.open_resources(run)?;
        open.retain(|resource| resource.class() == Class::Gpu);
        Ok(open)
    }
}

/// A config's version stays at the end of its name.
fn attempt_name(base: &str, attempt: i64) -> String {
    match base.split_once('@') {
        Some((name, version)) => format!("{name}-{attempt}@{version}"),
        None => format!("{base}-{attempt}"),
    }
}
