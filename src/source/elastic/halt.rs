//! Asking a reading to end early, so that it can give back what it holds at the server. What is then given back is
//! decided in `read`; who asks, and why, is for others to know.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How long a call that opens a context may still take once reading has to end: without its answer nobody can close it.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A request to end reading; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Halt {
    asked: Arc<watch::Sender<bool>>,
}

impl Halt {
    /// Asks everything that reads under it to end.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Resolves once it was asked.
    pub(super) async fn asked(&self) {
        // The sender lives as long as `self`, so that there is no other end to waiting.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }

    /// Awaits what opens a context, a little longer than it was asked to; `None`: in vain.
    pub(super) async fn or_opened<T>(&self, opening: impl Future<Output = T>) -> Option<T> {
        let mut opening = std::pin::pin!(opening);
        tokio::select! {
            opened = &mut opening => Some(opened),
            () = self.asked() => tokio::time::timeout(GRACE, opening).await.ok(),
        }
    }
}
