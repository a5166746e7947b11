//! The pauses between the tries of a remote call, for every client in the crate. Each client decides which of its calls
//! may be repeated.

use std::time::Duration;

use jiff::Timestamp;

/// How often a call is tried, and how far apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// Tries in all, the first included.
    pub(crate) tries: u32,
    /// The pause after the first try. Each further pause is twice as long.
    pub(crate) first: Duration,
    /// The longest pause that the client chooses.
    pub(crate) longest: Duration,
    /// The longest pause that a server may ask for.
    pub(crate) longest_asked: Duration,
}

impl Backoff {
    /// Four tries within four seconds.
    pub(crate) const SHORT: Backoff = Backoff {
        tries: 4,
        first: Duration::from_millis(500),
        longest: Duration::from_secs(8),
        longest_asked: Duration::ZERO,
    };

    /// Returns the pause after this many tries, or `None` to give up. `asked` is the pause that the server asks for.
    ///
    /// The pause is shortened at random, by up to half, because clients that failed together must not return together.
    pub(crate) fn pause(&self, tries: u32, asked: Option<Duration>) -> Option<Duration> {
        let asked = asked.unwrap_or_default().min(self.longest_asked);
        (tries < self.tries).then(|| self.full(tries).mul_f64(rand::random_range(0.5..1.0)).max(asked))
    }

    /// Returns the pause without jitter.
    fn full(&self, tries: u32) -> Duration {
        self.first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.longest)
    }
}

/// Reads a `Retry-After` header: seconds, or a date that is compared with `now`.
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
    use super::*;

    const BACKOFF: Backoff = Backoff {
        tries: 10,
        first: Duration::from_millis(500),
        longest: Duration::from_secs(8),
        longest_asked: Duration::from_secs(30),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_within_their_jitter_and_end() {
        for (tries, full) in (1..7).zip([500, 1000, 2000, 4000, 8000, 8000].map(Duration::from_millis)) {
            assert_eq!(BACKOFF.full(tries), full);
            let pause = BACKOFF.pause(tries, None).unwrap();
            assert!(pause >= full / 2 && pause < full, "{tries}: {pause:?}");
        }
        assert_eq!(BACKOFF.pause(10, None), None);
    }

    #[test]
    fn pauses_vary() {
        let pauses: Vec<_> = (0..100).map(|_| BACKOFF.pause(1, None)).collect();
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_server_may_ask_for_more_but_not_for_ever() {
        assert_eq!(BACKOFF.pause(1, Some(seconds(7))), Some(seconds(7)));
        assert_eq!(BACKOFF.pause(1, Some(seconds(7000))), Some(seconds(30)));
        assert_eq!(BACKOFF.pause(10, Some(seconds(7))), None);
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
}
