//! Work on records that Ctrl-C and SIGTERM can stop.

use anyhow::Context as _;

use tokio_util::sync::CancellationToken;

use crate::data::options::LogSource;
use crate::error::{Exit, Fault};
use crate::run::signals::Stop;

/// The reaction of work to a signal.
pub(super) enum AtSignal<'a> {
    /// It ends at once.
    Ends,
    /// It ends at once, unless it reads an index: then it closes first what it has open there.
    ClosesIndex(&'a LogSource),
}

/// Runs work on records. After a second Ctrl-C it ends at once whatever it does. `again` says what to do after a signal.
pub(super) async fn run<T: Send + 'static>(
    at_signal: AtSignal<'_>,
    again: &str,
    work: impl FnOnce(&CancellationToken) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let cancel = CancellationToken::new();
    let closes = matches!(at_signal, AtSignal::ClosesIndex(LogSource::Elasticsearch(_)));
    let (stop, cancelled) = (Stop::default(), cancel.clone());
    let signals = stop.watch_signals();
    let mut working = tokio::task::spawn_blocking(move || work(&cancelled));
    let stopping = async {
        let interrupted = stop.asked().await;
        cancel.cancel();
        if closes {
            stop.forced().await;
        }
        interrupted
    };
    let done = tokio::select! {
        done = &mut working => Some(done),
        _ = stopping => None,
        () = signals => None,
    };
    match (stop.check(), done) {
        // The result of the work no longer matters.
        (Err(interrupted), _) => Err(Fault::new(Exit::Cancelled, interrupted.to_string()).hint(again).into()),
        (Ok(()), done) => done.context("the signal handler ended")?.context("the task that reads the records ended")?,
    }
}
