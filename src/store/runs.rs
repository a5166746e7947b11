//! The rows of runs: what was started with which plan, and how it ended.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{Result, Store, StoreError, now_ms};

/// What is known of a run when it starts.
#[derive(Clone, Debug)]
pub struct NewRun<'a, P> {
    /// Eight characters of `[a-z2-7]`.
    pub id: &'a str,
    /// The workload, when it is known before the records are read.
    pub workload: Option<&'a str>,
    /// `user@host`.
    pub owner: &'a str,
    /// `nemo` or `embedded`.
    pub platform: &'a str,
    /// Whether students stand in for its candidates.
    pub rehearsal: bool,
    /// The plan that it runs by.
    pub plan: &'a P,
}

/// A run as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Eight characters of `[a-z2-7]`.
    pub id: String,
    /// The workload, once known.
    pub workload: Option<String>,
    /// `running`, `completed`, `partial`, `failed` or `cancelled`, as last written by its process.
    pub state: String,
    /// The code that its process ended with.
    pub exit_code: Option<u8>,
    /// `user@host`.
    pub owner: String,
    /// `nemo` or `embedded`.
    pub platform: String,
    /// Whether students stood in for its candidates.
    pub rehearsal: bool,
    /// The error it ended with, as JSON.
    pub error: Option<String>,
    /// When it was first started, ms UTC.
    pub started_ms: i64,
    /// When the process that works on it now, or did last, began, ms UTC.
    pub resumed_ms: i64,
    /// Time that earlier processes spent on it, ms.
    pub worked_ms: i64,
    /// When it ended, ms UTC.
    pub ended_ms: Option<i64>,
}

const COLUMNS: &str = "id, workload, state, exit_code, owner, platform, rehearsal, error, started_ms, resumed_ms, \
                       worked_ms, ended_ms";

fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get(0)?,
        workload: row.get(1)?,
        state: row.get(2)?,
        exit_code: row.get(3)?,
        owner: row.get(4)?,
        platform: row.get(5)?,
        rehearsal: row.get(6)?,
        error: row.get(7)?,
        started_ms: row.get(8)?,
        resumed_ms: row.get(9)?,
        worked_ms: row.get(10)?,
        ended_ms: row.get(11)?,
    })
}

impl Store {
    /// Records a new run in state `running`.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin_run<P: Serialize>(&self, new: &NewRun<'_, P>) -> Result<()> {
        let plan = serde_json::to_string(new.plan).map_err(|source| StoreError::Damaged {
            what: format!("the plan of run {}", new.id),
            path: self.path.clone(),
            source,
        })?;
        self.with("recording a run", |c| {
            c.execute(
                "INSERT INTO runs (id, workload, state, owner, platform, rehearsal, plan, started_ms, resumed_ms)
                 VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?7)",
                params![new.id, new.workload, new.owner, new.platform, new.rehearsal, plan, now_ms()],
            )
        })?;
        Ok(())
    }

    /// Marks a run as running again; the time spent on it so far is kept.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn continue_run(&self, run: &str) -> Result<()> {
        self.with("recording that a run continues", |c| {
            // A process that died left no end: its work is counted up to its last fact or ledger entry.
            c.execute(
                "UPDATE runs SET
                   worked_ms = worked_ms + max(0, coalesce(ended_ms,
                     (SELECT max(at_ms) FROM facts WHERE run = ?1 AND at_ms >= resumed_ms),
                     (SELECT max(intended_ms) FROM resources WHERE run = ?1 AND intended_ms >= resumed_ms),
                     resumed_ms) - resumed_ms),
                   state = 'running', exit_code = NULL, error = NULL, ended_ms = NULL, cancel = 0, resumed_ms = ?2
                 WHERE id = ?1",
                params![run, now_ms()],
            )
        })?;
        Ok(())
    }

    /// Records the workload of a run, once it is known.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn describe_run(&self, run: &str, workload: Option<&str>) -> Result<()> {
        self.with("recording the workload of a run", |c| {
            c.execute("UPDATE runs SET workload = coalesce(?2, workload) WHERE id = ?1", params![run, workload])
        })?;
        Ok(())
    }

    /// Records how a run ended.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn end_run(&self, run: &str, state: &str, exit_code: u8, error: Option<&str>) -> Result<()> {
        self.with("recording the end of a run", |c| {
            c.execute(
                "UPDATE runs SET state = ?2, exit_code = ?3, error = ?4, ended_ms = ?5 WHERE id = ?1",
                params![run, state, exit_code, error, now_ms()],
            )
        })?;
        Ok(())
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRow>> {
        self.with("listing runs", |c| {
            c.prepare(&format!("SELECT {COLUMNS} FROM runs ORDER BY started_ms DESC, id"))?
                .query_map([], read)?
                .collect()
        })
    }

    /// One run.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn run(&self, run: &str) -> Result<Option<RunRow>> {
        self.with("reading a run", |c| {
            c.query_row(&format!("SELECT {COLUMNS} FROM runs WHERE id = ?1"), [run], read).optional()
        })
    }

    /// The plan that a run was started with.
    ///
    /// # Errors
    /// When there is no such run, or its plan has another shape.
    pub fn plan<P: DeserializeOwned>(&self, run: &str) -> Result<P> {
        let json: String = self.with("reading the plan of a run", |c| {
            c.query_row("SELECT plan FROM runs WHERE id = ?1", [run], |row| row.get(0))
        })?;
        self.parse(&format!("the plan of run {run}"), &json)
    }

    /// Asks the process of a run to stop.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn ask_to_cancel(&self, run: &str) -> Result<()> {
        self.with("asking a run to stop", |c| c.execute("UPDATE runs SET cancel = 1 WHERE id = ?1", [run]))?;
        Ok(())
    }

    /// Whether a run was asked to stop.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn cancel_asked(&self, run: &str) -> Result<bool> {
        self.with("reading whether a run was asked to stop", |c| {
            c.query_row("SELECT cancel FROM runs WHERE id = ?1", [run], |row| row.get(0))
                .optional()
                .map(|asked| asked.unwrap_or(false))
        })
    }
}
