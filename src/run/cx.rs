//! What every step of a run needs, and the three things a step does with it: remember (`once`), hold a remote resource
//! (`hold`), and wait for one (`wait`). No globals.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rand::RngExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::event::{Event, EventKind, Step};
use super::gpus::Gpus;
use super::names::{self, Slugs};
use super::release::Releaser;
use super::stop::{Interrupted, Stop};
use crate::config::plan::Plan;
use crate::nemo::{ApiError, Client, Secret};
use crate::source::credentials::Credentials;
use crate::store::{NewResource, Resource, ResourceKind, ResourceState, Store, now_ms};
use crate::vocabulary::{Generation, PlatformId, PlatformKind};

/// How long a service may be unreachable before a wait gives up on it.
const OUTAGE: Duration = Duration::from_secs(120);

/// The longest pause between two looks at a job.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where events go.
pub type Sink = Box<dyn Fn(&Event) + Send + Sync>;

/// Everything a step needs.
pub struct Cx {
    /// The run's id.
    pub run: String,
    /// What it runs by.
    pub plan: Plan,
    /// What opens the log store.
    pub credentials: Credentials,
    /// The platform.
    pub nemo: Client,
    /// The identity of the platform, as rows of the ledger carry it.
    pub platform: PlatformId,
    /// The state directory's store.
    pub store: Arc<Store>,
    /// Where events go.
    pub sink: Sink,
    /// Whether to stop.
    pub stop: Stop,
    /// The GPU budget; `None`: unknown, one candidate at a time.
    pub budget: Option<u32>,
    /// What the candidates lease from; without a budget a single place.
    pub gpus: Gpus,
    /// The tokens of the repositories that base models are made from, by the name of the model.
    pub repository_tokens: BTreeMap<String, Secret>,
    /// The key of a judge that is somewhere else.
    pub judge_key: Option<Secret>,
    /// When this process began to work on the run, ms UTC.
    pub started_ms: i64,
    /// `user@host`.
    pub owner: String,
    /// `runs/ID` of the state directory.
    pub dir: PathBuf,
    /// Short names of the candidates.
    pub slugs: Slugs,
    /// As the platform has told.
    pub kind: PlatformKind,
    /// The generation of the platform's API.
    pub generation: Generation,
    /// Whether students stand in for the candidates.
    pub rehearsal: bool,
}

/// What is to be held: the row that is written before it is created.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name without an attempt number.
    pub base: &'a str,
    /// The candidate it belongs to.
    pub candidate: Option<&'a str>,
    /// Whether creating it twice under one name makes one thing (then an unanswered create may simply be repeated).
    pub by_name: bool,
}

/// What a look at the platform found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing of that name or id.
    Absent,
    /// It is there, under this id where the platform gives one.
    There(Option<String>),
    /// It is there and has ended badly: no further use, another attempt is due.
    Spent(Option<String>),
}

impl Cx {
    /// The GPU budget of the candidates; `None`: unknown.
    pub fn room(&self) -> Option<u32> {
        self.budget.map(|_| self.gpus.total())
    }

    /// Tells what happened.
    pub fn tell(&self, kind: EventKind) {
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        (self.sink)(&Event { at, run: self.run.clone(), kind });
    }

    /// Tells and records something worth knowing. A warning that is already recorded is not told again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn warn(&self, message: impl Into<String>) -> anyhow::Result<()> {
        let message = message.into();
        if self.store.add_to_list(&self.run, super::outcome::WARNINGS, &message)? {
            self.tell(EventKind::Warning { message });
        }
        Ok(())
    }

    /// A step whose outcome is worked out once: remembered from an earlier process, or worked out, remembered and only
    /// then told as done. Who has read that it is done may kill the process: it is not repeated.
    ///
    /// # Errors
    /// What the work says, or the store.
    pub async fn step_once<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        candidate: Option<&str>,
        step: Step,
        work: impl Future<Output = anyhow::Result<T>>,
        detail: impl FnOnce(&T) -> Option<String>,
    ) -> anyhow::Result<T> {
        if let Some(known) = self.store.fact(&self.run, key)? {
            return Ok(known);
        }
        let kept = async {
            let value = work.await?;
            self.store.remember(&self.run, key, &value)?;
            Ok(value)
        };
        self.step(candidate, step, kept, detail).await
    }

    /// Runs a step and tells its beginning and its end. `detail` is what came of it.
    ///
    /// # Errors
    /// What the work says.
    pub async fn step<T>(
        &self,
        candidate: Option<&str>,
        step: Step,
        work: impl Future<Output = anyhow::Result<T>>,
        detail: impl FnOnce(&T) -> Option<String>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        let candidate = candidate.map(str::to_owned);
        self.tell(EventKind::StepStarted { candidate: candidate.clone(), step });
        let result = work.await;
        match &result {
            Ok(value) => {
                let seconds = started.elapsed().as_secs_f64();
                self.tell(EventKind::StepDone { candidate, step, seconds, detail: detail(value) });
            }
            Err(error) => self.tell(EventKind::StepFailed { candidate, step, error: format!("{error:#}") }),
        }
        result
    }

    /// Tells how a step goes on.
    pub fn progress(&self, candidate: Option<&str>, step: Step, percent: Option<f64>, detail: Option<String>) {
        let candidate = candidate.map(str::to_owned);
        self.tell(EventKind::StepProgress {
            candidate,
            step,
            percent,
            detail,
            train_loss: None,
            validation_loss: None,
        });
    }

    /// Holds a remote resource: the row of an earlier process is looked up, else an intent is written and `create` is
    /// called. `look` finds it on the platform: by id when the row has one, else by name or description. A create that
    /// was not answered is looked up, never repeated blindly.
    ///
    /// # Errors
    /// What the platform says; [`Interrupted`] when asked to stop before the create.
    pub async fn hold<L, LF, C, CF>(&self, spec: Spec<'_>, look: L, create: C) -> anyhow::Result<Resource>
    where
        L: Fn(Resource) -> LF,
        LF: Future<Output = anyhow::Result<Look>>,
        C: FnOnce(Resource) -> CF,
        CF: Future<Output = Result<Option<String>, ApiError>>,
    {
        self.stop.check()?;
        if let Some(row) = self.store.open_resource(&self.run, spec.kind, spec.base)?
            && let Some(row) = self.find_again(&row, spec, &look).await?
        {
            return Ok(row);
        }
        self.stop.check()?;
        let intent = NewResource {
            run: &self.run,
            candidate: spec.candidate,
            kind: spec.kind,
            base: spec.base,
            platform: &self.platform,
        };
        let row = match self.store.open_resource(&self.run, spec.kind, spec.base)? {
            Some(row) if row.state == ResourceState::Intended && !row.finished => {
                self.store.renew_intent(row.id)?;
                row
            }
            _ => self.store.record_intent(&intent)?,
        };
        match create(row.clone()).await {
            Ok(remote_id) => self.is_live(row, remote_id.as_deref()),
            Err(error) if error.already_exists() || error.may_have_been_accepted() => {
                match self.look_until_settled(&row, &look).await? {
                    Look::There(remote_id) => self.is_live(row, remote_id.as_deref()),
                    Look::Absent | Look::Spent(_) => Err(error.into()),
                }
            }
            Err(error) => {
                // Refused, or never sent: nothing of it exists; but of a dataset the repository may.
                if spec.kind != ResourceKind::Dataset {
                    self.store.mark_released(row.id)?;
                }
                Err(error.into())
            }
        }
    }

    /// The row of an earlier process, if the platform still has what it stands for; otherwise the row is settled.
    async fn find_again<L, LF>(&self, row: &Resource, spec: Spec<'_>, look: &L) -> anyhow::Result<Option<Resource>>
    where
        L: Fn(Resource) -> LF,
        LF: Future<Output = anyhow::Result<Look>>,
    {
        if row.platform != self.platform {
            // An in-process platform took it along when it died; the URLs of a cluster are part of the plan.
            self.store.mark_released(row.id)?;
            return Ok(None);
        }
        let found = match row.state {
            ResourceState::Intended if spec.by_name => self.read(look(row.clone())).await?,
            ResourceState::Intended => self.look_until_settled(row, look).await?,
            ResourceState::Live | ResourceState::Released => self.read(look(row.clone())).await?,
        };
        match found {
            Look::There(remote_id) => Ok(Some(self.is_live(row.clone(), remote_id.as_deref())?)),
            Look::Spent(remote_id) => {
                self.store.mark_live(row.id, remote_id.as_deref())?;
                self.store.mark_finished(row.id)?;
                Ok(None)
            }
            Look::Absent if row.state == ResourceState::Intended && spec.by_name => Ok(None),
            Look::Absent => {
                self.store.mark_released(row.id)?;
                Ok(None)
            }
        }
    }

    /// Looks for something whose create was not answered until it appears, or has not for as long as it may take.
    async fn look_until_settled<L, LF>(&self, row: &Resource, look: &L) -> anyhow::Result<Look>
    where
        L: Fn(Resource) -> LF,
        LF: Future<Output = anyhow::Result<Look>>,
    {
        let started = Instant::now();
        let settle = names::millis(self.plan.limits.settle_ms);
        loop {
            let last = started.elapsed() >= settle;
            match self.read(look(row.clone())).await? {
                Look::Absent => {}
                found => return Ok(found),
            }
            self.store.record_vain_lookup(row.id)?;
            if last {
                return Ok(Look::Absent);
            }
            let rest = settle.saturating_sub(started.elapsed());
            self.pause(pause_after(started.elapsed()).min(rest)).await?;
        }
    }

    fn is_live(&self, mut row: Resource, remote_id: Option<&str>) -> anyhow::Result<Resource> {
        self.store.mark_live(row.id, remote_id)?;
        row.state = ResourceState::Live;
        if let Some(remote_id) = remote_id {
            row.remote_id = Some(remote_id.to_owned());
        }
        self.tell(EventKind::ResourceLive { kind: row.kind, name: row.name.clone() });
        Ok(row)
    }

    /// Waits for a probe to say `Some`; the only poll loop. A service that is away for a while is waited for.
    ///
    /// # Errors
    /// What the probe says, [`Interrupted`], or that it took longer than `limit`.
    pub async fn wait<T, P, F>(&self, what: &str, limit: Duration, limit_key: &str, mut probe: P) -> anyhow::Result<T>
    where
        P: FnMut() -> F,
        F: Future<Output = anyhow::Result<Option<T>>>,
    {
        let started = Instant::now();
        let mut away_since: Option<Instant> = None;
        loop {
            self.stop.check()?;
            // A probe only reads, so it may be dropped.
            let looked = tokio::select! {
                looked = probe() => looked,
                interrupted = self.stop.asked() => return Err(interrupted.into()),
            };
            match looked {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => away_since = None,
                Err(error) => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if !is_outage(&error) || since.elapsed() >= OUTAGE {
                        return Err(error.context(format!("waiting for {what}")));
                    }
                    tracing::warn!(error = format!("{error:#}"), "{what}: the service does not answer, still waiting");
                }
            }
            let waited = started.elapsed();
            if waited >= limit {
                return Err(TooLong { what: what.to_owned(), limit, key: limit_key.to_owned() }.into());
            }
            self.pause(pause_after(waited).min(limit - waited)).await?;
        }
    }

    /// A look at the platform outside of [`Cx::wait`]. It only reads, so it is dropped when asked to stop: an answer that
    /// never comes holds nobody up.
    ///
    /// # Errors
    /// What the look says, or [`Interrupted`].
    pub async fn read<T, E>(&self, look: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
    where
        E: Into<anyhow::Error>,
    {
        tokio::select! {
            looked = look => looked.map_err(Into::into),
            interrupted = self.stop.asked() => Err(interrupted.into()),
        }
    }

    /// What gives back for this run; `told` hears of each row.
    pub fn releaser<'a>(&'a self, told: &'a (dyn Fn(&Resource) + Send + Sync)) -> Releaser<'a> {
        Releaser {
            nemo: &self.nemo,
            store: &self.store,
            namespace: &self.plan.platform.namespace,
            owner: &self.owner,
            settle: names::millis(self.plan.limits.settle_ms),
            told,
        }
    }

    /// Tells that something was given back.
    pub fn tell_released(&self, row: &Resource) {
        self.tell(EventKind::ResourceReleased { kind: row.kind, name: row.name.clone() });
    }

    /// How long a job has taken; not known when an earlier process began it.
    pub fn seconds_of(&self, job: &Resource) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a few hours in milliseconds")]
        let seconds = (now_ms() - job.intended_ms).max(0) as f64 / 1000.0;
        (job.intended_ms >= self.started_ms).then_some(seconds)
    }

    /// Sleeps, unless asked to stop.
    async fn pause(&self, duration: Duration) -> Result<(), Interrupted> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            interrupted = self.stop.asked() => Err(interrupted),
        }
    }

    /// A path of the run's folder as it is shown to people.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("making the folder {}", path.display()))?;
        Ok(path)
    }
}

/// Something took longer than its limit.
#[derive(Debug, thiserror::Error)]
#[error("{what} took longer than {} (limits.{key})", humane(*limit))]
pub struct TooLong {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub limit: Duration,
    /// The key that sets it.
    pub key: String,
}

fn humane(limit: Duration) -> String {
    let seconds = limit.as_secs();
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, _) => format!("{} s", limit.as_secs_f64()),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Whether the service is away, as opposed to having said no.
fn is_outage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ApiError>().is_some_and(ApiError::is_transient)
}

/// How long to pause after having waited `waited`: short jobs are noticed at once, long ones within 3 % of the time they
/// have run and never later than 10 s; a little jitter keeps the candidates of a run from asking in step.
fn pause_after(waited: Duration) -> Duration {
    let tenth = waited.mul_f64(0.1).max(Duration::from_millis(20));
    let share = waited.mul_f64(0.03).max(Duration::from_millis(1800));
    let jitter = rand::rng().random_range(0.9..1.0);
    tenth.min(share).min(LONGEST_PAUSE).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_keep_the_promise() {
        for seconds in [0.0_f64, 0.5, 10.0, 60.0, 100.0, 400.0, 3600.0, 40000.0] {
            let pause = pause_after(Duration::from_secs_f64(seconds)).as_secs_f64();
            let promised = (seconds * 0.03).clamp(2.0, 10.0);
            assert!(pause <= promised, "{seconds}: {pause} > {promised}");
            assert!(pause >= 0.018);
        }
    }

    #[test]
    fn limits_read_as_people_say_them() {
        let of = |seconds| humane(Duration::from_secs(seconds));
        assert_eq!(
            (of(10_800), of(1800), of(90), of(30)),
            ("3 h".into(), "30 min".into(), "1 min 30 s".into(), "30 s".into())
        );
    }
}
