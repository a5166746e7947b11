//! Stopping a run. The first Ctrl-C, a SIGTERM or `dfwfd cancel` asks every wait to end. A second Ctrl-C ends the process
//! at once.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio::time::Instant;

/// The request to stop a run. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    sender: Arc<watch::Sender<StopRequest>>,
    releases_since: Arc<OnceLock<Instant>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct StopRequest {
    reason: Option<String>,
    forced: bool,
}

/// The run was asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupted {
    /// Such as `Ctrl-C`.
    pub reason: String,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled by {}", self.reason)
    }
}

impl std::error::Error for Interrupted {}

impl Default for Stop {
    fn default() -> Stop {
        Stop { sender: Arc::new(watch::Sender::new(StopRequest::default())), releases_since: Arc::default() }
    }
}

impl Stop {
    /// Asks the run to stop. The first reason counts. Returns whether this was the first request.
    pub(crate) fn ask(&self, reason: &str) -> bool {
        self.sender.send_if_modified(|state| {
            let first = state.reason.is_none();
            if first {
                state.reason = Some(reason.to_owned());
            }
            first
        })
    }

    /// Asks the process to end at once, whatever the run still holds.
    pub(crate) fn force(&self) {
        self.sender.send_modify(|state| state.forced = true);
    }

    /// Returns an error once the run was asked to stop.
    ///
    /// # Errors
    /// [`Interrupted`], with the reason.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        match &self.sender.borrow().reason {
            Some(reason) => Err(Interrupted { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Returns when the run was first asked for this after it was asked to stop. `None` before that.
    pub(crate) fn releases_since(&self) -> Option<Instant> {
        self.check().err().map(|_| *self.releases_since.get_or_init(Instant::now))
    }

    /// Resolves once the run was asked to stop.
    pub(crate) async fn asked(&self) -> Interrupted {
        let mut receiver = self.sender.subscribe();
        loop {
            if let Some(reason) = receiver.borrow_and_update().reason.clone() {
                return Interrupted { reason };
            }
            if receiver.changed().await.is_err() {
                // The sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves once the process was asked to end at once.
    pub(crate) async fn forced(&self) {
        let mut receiver = self.sender.subscribe();
        while !receiver.borrow_and_update().forced {
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Catches signals from now on, and turns them into requests while it is polled. Ctrl-C and SIGTERM ask, a second Ctrl-C
    /// forces.
    pub(crate) fn watch_signals(&self) -> impl Future<Output = ()> {
        // Not at the first poll: work beside it may be polled before, and has then begun when a signal still kills the process.
        let signals = Signals::new();
        async move {
            let mut signals = match signals {
                Ok(signals) => signals,
                Err(error) => {
                    tracing::warn!(%error, "cannot catch signals: Ctrl-C will end the process without releasing anything");
                    return std::future::pending().await;
                }
            };
            loop {
                let signal = signals.next().await;
                if !self.ask(signal) && signal == "Ctrl-C" {
                    self.force();
                }
            }
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if the process was started with SIGHUP ignored, as `nohup` does.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hangup => "a closed terminal",
        }
    }
}

/// Tells whether this process was started with SIGHUP ignored (on Linux bit 0 of `SigIgn`).
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_and_everybody_hears_it() {
        let stop = Stop::default();
        assert!(stop.check().is_ok());
        let waiting = stop.clone();
        let (heard, ()) = tokio::join!(waiting.asked(), async {
            assert!(stop.ask("Ctrl-C"));
            assert!(!stop.ask("SIGTERM"));
        });
        assert_eq!(heard.reason, "Ctrl-C");
        assert_eq!(stop.check().unwrap_err().to_string(), "cancelled by Ctrl-C");
        stop.force();
        stop.forced().await;
    }
}
