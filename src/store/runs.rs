//! The rows of runs: the plan that each was started with, and how it ended.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{Result, Store, StoreError, now_ms};
use crate::vocabulary::{PlatformKind, RunState};

/// A run that starts.
#[derive(Clone, Debug)]
pub(crate) struct NewRun<'a, P> {
    /// Eight characters of `[a-z2-7]`.
    pub id: &'a str,
    /// Known when the plan names it. Otherwise the records decide.
    pub workload: Option<&'a str>,
    /// `user@host`.
    pub owner: &'a str,
    pub platform: PlatformKind,
    /// Students stand in for the candidates.
    pub rehearsal: bool,
    pub plan: &'a P,
}

/// A recorded run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunRow {
    /// Eight characters of `[a-z2-7]`.
    pub id: String,
    /// `None` until the records are read, unless the plan names it.
    pub workload: Option<String>,
    /// As its process wrote it last: a run whose process died stays `Running`.
    pub state: RunState,
    pub exit_code: Option<u8>,
    /// `user@host`.
    pub owner: String,
    pub platform: PlatformKind,
    /// Students stood in for the candidates.
    pub rehearsal: bool,
    /// The error that ended it, as JSON.
    pub error: Option<String>,
    /// When it was first started, in ms UTC.
    pub started_ms: i64,
    /// When its current or last process began, in ms UTC.
    pub resumed_ms: i64,
    /// The time that earlier processes spent on it, in ms.
    pub worked_ms: i64,
    /// When it ended, in ms UTC.
    pub ended_ms: Option<i64>,
}

const COLUMNS: &str = "id, workload, state, exit_code, owner, platform, rehearsal, error, started_ms, resumed_ms, \
                       worked_ms, ended_ms";

fn run_of(row: &Row<'_>) -> rusqlite::Result<RunRow> {
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
    /// Records a new run as running.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn begin_run<P: Serialize>(&self, new: &NewRun<'_, P>) -> Result<()> {
        let plan = serde_json::to_string(new.plan).map_err(|source| StoreError::Damaged {
            what: format!("the plan of run {}", new.id),
            path: self.path.clone(),
            source,
        })?;
        self.with("record a run", |c| {
            c.execute(
                "INSERT INTO runs (id, workload, state, owner, platform, rehearsal, plan, started_ms, resumed_ms)
                 VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?7)",
                params![new.id, new.workload, new.owner, new.platform, new.rehearsal, plan, now_ms()],
            )
        })?;
        Ok(())
    }

    /// Marks a run as running again and adds up the time that was spent on it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn continue_run(&self, run: &str) -> Result<()> {
        self.with("record that a run continues", |c| {
            // A process that died wrote no end: its work counts up to its last fact or intent.
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

    /// Records the workload of a run.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn describe_run(&self, run: &str, workload: Option<&str>) -> Result<()> {
        self.with("record the workload of a run", |c| {
            c.execute("UPDATE runs SET workload = coalesce(?2, workload) WHERE id = ?1", params![run, workload])
        })?;
        Ok(())
    }

    /// Records how a run ended.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn end_run(&self, run: &str, state: RunState, exit_code: u8, error: Option<&str>) -> Result<()> {
        self.with("record the end of a run", |c| {
            c.execute(
                "UPDATE runs SET state = ?2, exit_code = ?3, error = ?4, ended_ms = ?5 WHERE id = ?1",
                params![run, state, exit_code, error, now_ms()],
            )
        })?;
        Ok(())
    }

    /// Returns all runs, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn runs(&self) -> Result<Vec<RunRow>> {
        self.with("list runs", |c| {
            c.prepare(&format!("SELECT {COLUMNS} FROM runs ORDER BY started_ms DESC, id"))?
                .query_map([], run_of)?
                .collect()
        })
    }

    /// Returns a run by its id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn run(&self, run: &str) -> Result<Option<RunRow>> {
        self.with("read a run", |c| {
            c.query_row(&format!("SELECT {COLUMNS} FROM runs WHERE id = ?1"), [run], run_of).optional()
        })
    }

    /// Returns the plan that a run was started with.
    ///
    /// # Errors
    /// When there is no such run, or its plan cannot be parsed.
    pub(crate) fn plan<P: DeserializeOwned>(&self, run: &str) -> Result<P> {
        let json: String = self.with("read the plan of a run", |c| {
            c.query_row("SELECT plan FROM runs WHERE id = ?1", [run], |row| row.get(0))
        })?;
        self.parse(&format!("the plan of run {run}"), &json)
    }

    /// Asks the process of a run to stop.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn ask_to_cancel(&self, run: &str) -> Result<()> {
        self.with("ask a run to stop", |c| c.execute("UPDATE runs SET cancel = 1 WHERE id = ?1", [run]))?;
        Ok(())
    }

    /// Tells whether a run was asked to stop.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn cancel_asked(&self, run: &str) -> Result<bool> {
        self.with("read whether a run was asked to stop", |c| {
            c.query_row("SELECT cancel FROM runs WHERE id = ?1", [run], |row| row.get(0))
                .optional()
                .map(|asked| asked.unwrap_or(false))
        })
    }
}
