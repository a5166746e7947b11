//! Waits for something remote that a step needs: the poll loop, its pauses and its limits. The release of resources has its
//! own loop, because a request to stop must not end it.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

use super::context::RunContext;
use super::signals::Interrupted;
use crate::nemo::{ApiError, JobStatus};

/// How long a service may be unreachable before a wait gives up.
const OUTAGE: Duration = Duration::from_secs(120);

/// The longest pause between two polls.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The time between two warnings that a service is away.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// A wait that exceeded its limit.
#[derive(Debug, thiserror::Error)]
#[error("{what} took longer than {} (limits.{key})", in_words(*limit))]
pub(crate) struct TooLong {
    pub what: String,
    pub limit: Duration,
    /// The key of the limit below `limits`.
    pub key: String,
}

/// A deployment is ready, and the NIM proxy does not list its model.
#[derive(Debug, thiserror::Error)]
#[error("deployment {deployment} is ready, but the NIM proxy (nmp_config.nim_base_url) does not list {model}")]
pub(crate) struct Unlisted {
    pub deployment: String,
    pub model: String,
}

/// The last status word of a thing that is waited for.
#[derive(Debug, Default)]
pub(super) struct LastWord(Mutex<String>);

impl LastWord {
    /// Notes a status with its detail.
    pub(super) fn note(&self, status: &JobStatus, detail: Option<&str>) {
        let detail = detail.filter(|detail| !detail.is_empty());
        let text = [status.in_words(), detail.unwrap_or_default()].join(": ");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.trim_end_matches(": ").to_owned();
    }

    /// Adds it to the error of a wait that was too long.
    pub(super) fn explain<T>(self, what: &str, waited: anyhow::Result<T>) -> anyhow::Result<T> {
        let word = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        waited.map_err(|error| match error.is::<TooLong>() && !word.is_empty() {
            true => error.context(format!("the platform says of {what}: {word}")),
            false => error,
        })
    }
}

impl RunContext {
    /// Polls until the probe returns `Some`. A service that does not answer is waited for, for at most two minutes.
    ///
    /// # Errors
    /// When the probe fails, the run is asked to stop, or the wait exceeds `limit`.
    pub(crate) async fn wait<T, P, F>(
        &self,
        what: &str,
        limit: Duration,
        limit_key: &str,
        mut probe: P,
    ) -> anyhow::Result<T>
    where
        P: FnMut() -> F,
        F: Future<Output = anyhow::Result<Option<T>>>,
    {
        let started = Instant::now();
        let mut away_since: Option<Instant> = None;
        let mut told: Option<Instant> = None;
        loop {
            self.stop.check()?;
            // A probe only reads, so it may be dropped.
            let probed = tokio::select! {
                probed = probe() => probed,
                interrupted = self.stop.asked() => return Err(interrupted.into()),
            };
            match probed {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => away_since = None,
                Err(error) => {
                    if !is_passing(&error, &mut away_since) {
                        return Err(error.context(format!("cannot wait for {what}")));
                    }
                    // Not at every look: nobody reads the same line a hundred times.
                    if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                        told = Some(Instant::now());
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "{what}: the service does not answer, still waiting"
                        );
                    }
                }
            }
            let waited = started.elapsed();
            if waited >= limit {
                return Err(TooLong { what: what.to_owned(), limit, key: limit_key.to_owned() }.into());
            }
            self.pause(pause_after(waited).min(limit - waited)).await?;
        }
    }

    /// Awaits a call that only reads. It is dropped when the run is asked to stop, so a missing answer delays nobody.
    ///
    /// # Errors
    /// When the call fails, or the run is asked to stop.
    pub(crate) async fn read<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
    where
        E: Into<anyhow::Error>,
    {
        tokio::select! {
            answer = call => answer.map_err(Into::into),
            interrupted = self.stop.asked() => Err(interrupted.into()),
        }
    }

    /// Sleeps, unless the run is asked to stop.
    pub(super) async fn pause(&self, duration: Duration) -> Result<(), Interrupted> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            interrupted = self.stop.asked() => Err(interrupted),
        }
    }
}

fn in_words(limit: Duration) -> String {
    let seconds = limit.as_secs();
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, _) => format!("{} s", limit.as_secs_f64()),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Tells whether the service is away, and not yet for so long that nobody waits for it any more. A service that refuses is
/// not away.
pub(super) fn is_passing(error: &anyhow::Error, away_since: &mut Option<Instant>) -> bool {
    let since = *away_since.get_or_insert_with(Instant::now);
    error.downcast_ref::<ApiError>().is_some_and(ApiError::is_transient) && since.elapsed() < OUTAGE
}

/// Returns the pause after a wait of this length. The end of a short job is noticed at once, the end of a long one within
/// 3 % of its time and never later than 10 s. Jitter keeps candidates from polling in step.
pub(super) fn pause_after(waited: Duration) -> Duration {
    let tenth = waited.mul_f64(0.1).max(Duration::from_millis(20));
    let share = waited.mul_f64(0.03).max(Duration::from_millis(1800));
    let jitter = rand::rng().random_range(0.95..1.0);
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
    fn three_candidates_with_two_waits_each_ask_under_40_times_a_minute_after_six() {
        let of_one_wait = || {
            let mut waited = Duration::from_secs(360);
            std::iter::from_fn(move || {
                waited += pause_after(waited);
                (waited <= Duration::from_secs(420)).then_some(waited)
            })
            .count()
        };
        let asked: usize = (0..6).map(|_| of_one_wait()).sum();
        assert!(asked < 40, "{asked} times");
    }

    #[test]
    fn a_wait_that_is_too_long_tells_the_last_word_and_another_error_does_not() {
        let too_long = || TooLong { what: "job j".to_owned(), limit: Duration::from_secs(1), key: "train".to_owned() };
        let last = LastWord::default();
        last.note(&JobStatus::Waiting, Some("ErrImagePull"));
        last.note(&JobStatus::Unknown("finalizing".to_owned()), None);
        let error = last.explain::<()>("job j", Err(too_long().into())).unwrap_err();
        assert!(error.is::<TooLong>() && error.to_string() == "the platform says of job j: finalizing", "{error:#}");
        let last = LastWord::default();
        last.note(&JobStatus::Waiting, Some("ErrImagePull"));
        let error = last.explain::<()>("job j", Err(too_long().into())).unwrap_err();
        assert_eq!(error.to_string(), "the platform says of job j: pending: ErrImagePull");
        let other = LastWord::default();
        other.note(&JobStatus::Waiting, None);
        assert_eq!(other.explain::<()>("job j", Err(anyhow::anyhow!("no"))).unwrap_err().to_string(), "no");
    }

    #[test]
    fn limits_read_as_people_say_them() {
        let of = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(
            (of(10_800), of(1800), of(90), of(30)),
            ("3 h".into(), "30 min".into(), "1 min 30 s".into(), "30 s".into())
        );
    }
}
