//! Work on records that Ctrl-C and SIGTERM can stop.

use anyhow::Context as _;

use tokio_util::sync::CancellationToken;

use crate::data::options::LogSource;
use crate::error::{Exit, Fault};
use crate::run::signals::Stop;

/// Runs work on records. A signal lets work that reads an index close what it has open there; it ends other work at once, as
/// does a second Ctrl-C.
pub(super) async fn run<T: Send + 'static>(
    input: &LogSource,
    work: impl FnOnce(&CancellationToken) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let cancel = CancellationToken::new();
    if !matches!(input, LogSource::Elasticsearch(_)) {
        return work(&cancel);
    }
    let (stop, cancelled) = (Stop::default(), cancel.clone());
    let signals = stop.watch_signals();
    let mut working = tokio::task::spawn_blocking(move || work(&cancelled));
    let stopping = async {
        let interrupted = stop.asked().await;
        cancel.cancel();
        stop.forced().await;
        interrupted
    };
    let done = tokio::select! {
        done = &mut working => Some(done),
        _ = stopping => None,
        () = signals => None,
    };
    match (stop.check(), done) {
        // The result of the work no longer matters.
        (Err(interrupted), _) => Err(Fault::new(Exit::Cancelled, interrupted.to_string()).into()),
        (Ok(()), done) => done.context("the signal handler ended")?.context("the task that reads the records ended")?,
    }
}
