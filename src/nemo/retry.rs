//! When a call is tried again, and after how long. Pure: reads no clock, sends nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;

use super::call::Effect;
use super::error::ErrorKind;

/// How often, how long and how far apart a call is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    /// Tries in all.
    pub(crate) tries: u32,
    /// The first pause; each further one is twice as long.
    pub(crate) first: Duration,
    /// The longest pause of our own choosing.
    pub(crate) longest: Duration,
    /// The longest pause that a server may ask for.
    pub(crate) longest_asked: Duration,
    /// No try begins later than this after the first, or than the call's own timeout when that is longer.
    pub(crate) budget: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            tries: 4,
            first: Duration::from_millis(500),
            longest: Duration::from_secs(8),
            longest_asked: Duration::from_secs(30),
            budget: Duration::from_secs(90),
        }
    }
}

impl Retry {
    /// The pause before the next try, or `None` to give up. `tries` were made in `elapsed`; `jitter` is in [0, 1).
    pub(crate) fn pause(
        &self,
        tries: u32,
        elapsed: Duration,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        if tries >= self.tries {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.longest);
        let own = doubled.mul_f64(0.5 + jitter / 2.0);
        let pause = own.max(asked.unwrap_or_default().min(self.longest_asked));
        (elapsed + pause <= self.budget).then_some(pause)
    }

    /// The same for a call with this timeout, so that one slow upload may still be tried again.
    pub(crate) fn of(self, timeout: Duration) -> Retry {
        Retry { budget: self.budget.max(timeout), ..self }
    }
}

/// Whether a call of this effect may be sent again after this end.
pub(crate) fn may_repeat(effect: Effect, end: &ErrorKind) -> bool {
    let status = match end {
        ErrorKind::Connect => return effect != Effect::Once,
        ErrorKind::Timeout(_) | ErrorKind::Interrupted => return effect == Effect::Repeatable,
        ErrorKind::Status(refusal) => refusal.status,
        ErrorKind::Options(_) | ErrorKind::File(_) | ErrorKind::Unreadable(_) => return false,
    };
    match effect {
        Effect::Repeatable => matches!(status, 408 | 429 | 500..=599),
        // 429 is a refusal before anything was done; any other answer may follow a create that happened.
        Effect::Create => status == 429,
        Effect::Once => false,
    }
}

/// A number in [0, 1) that differs between processes and calls: clients that failed together must not return together.
pub(crate) fn jitter() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// Reads `Retry-After`: seconds, or a date compared with `now`.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::error::Refusal;
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_within_their_jitter_and_end() {
        let retry = Retry { tries: 10, ..Retry::default() };
        let pauses: Vec<_> = (1..7).map(|tries| retry.pause(tries, Duration::ZERO, None, 1.0).unwrap()).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 8000].map(Duration::from_millis);
        assert_eq!(pauses, expected);
        assert_eq!(retry.pause(1, Duration::ZERO, None, 0.0), Some(Duration::from_millis(250)));
        assert_eq!(retry.pause(10, Duration::ZERO, None, 0.0), None);
    }

    #[test]
    fn a_server_may_ask_for_more_but_not_for_ever() {
        let retry = Retry::default();
        assert_eq!(retry.pause(1, Duration::ZERO, Some(seconds(7)), 0.5), Some(seconds(7)));
        assert_eq!(retry.pause(1, Duration::ZERO, Some(seconds(7000)), 0.5), Some(seconds(30)));
        assert_eq!(retry.pause(1, seconds(70), Some(seconds(30)), 0.5), None);
        assert_eq!(retry.of(seconds(1800)).pause(1, seconds(70), Some(seconds(30)), 0.5), Some(seconds(30)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2025-05-08T17:19:19Z".parse().unwrap();
        assert_eq!(retry_after(" 3 ", now), Some(seconds(3)));
        assert_eq!(retry_after("Thu, 08 May 2025 17:19:49 GMT", now), Some(seconds(30)));
        assert_eq!(retry_after("Thu, 08 May 2025 17:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-4", now), None);
    }

    #[test]
    fn a_create_is_sent_again_only_when_nothing_was_accepted() {
        let status = |status| ErrorKind::Status(Box::new(Refusal::read(status, "", b"")));
        for again in [ErrorKind::Connect, status(429)] {
            assert!(may_repeat(Effect::Create, &again), "{again:?}");
        }
        for never in [ErrorKind::Timeout(seconds(1)), ErrorKind::Interrupted, status(408), status(500), status(503)] {
            assert!(!may_repeat(Effect::Create, &never), "{never:?}");
            assert!(may_repeat(Effect::Repeatable, &never), "{never:?}");
        }
        for never in [status(400), status(404), status(409), ErrorKind::Unreadable(String::new())] {
            assert!(!may_repeat(Effect::Create, &never) && !may_repeat(Effect::Repeatable, &never), "{never:?}");
        }
        assert!(!may_repeat(Effect::Once, &ErrorKind::Connect));
    }

    #[test]
    fn jitter_stays_in_its_range_and_varies() {
        let draws: Vec<f64> = (0..100).map(|_| jitter()).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert!(draws.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
