//! The thread that talks to the server, so that callers stay synchronous whether or not a runtime is around them.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::error::ElasticError;

/// A runtime in a thread of its own; ends when dropped, with everything that still runs in it.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts it.
    pub(crate) fn start() -> Result<Thread, ElasticError> {
        let broken =
            |error: std::io::Error| ElasticError::Setup(format!("starting the thread of the log store: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(broken)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("elasticsearch".to_owned())
            .spawn(move || {
                // An error means that the other end was dropped, which is as good.
                let _ = runtime.block_on(stopped);
            })
            .map_err(broken)?;
        Ok(Thread { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Begins work; its result comes through the channel. The channel ends without one only when the work panics.
    pub(crate) fn begin<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> mpsc::Receiver<T> {
        let (give, take) = mpsc::channel();
        self.handle.spawn(async move {
            // Nobody may be left to hear of it.
            let _ = give.send(work.await);
        });
        take
    }

    /// Does work and waits for its result.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ElasticError>> + Send + 'static,
    ) -> Result<T, ElasticError> {
        self.begin(work).recv().unwrap_or_else(|_| Err(ended()))
    }
}

/// The thread is gone, which only a defect of its own can cause.
pub(crate) fn ended() -> ElasticError {
    ElasticError::Setup("the thread of the log store has ended".to_owned())
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported where its result was missed.
            let _ = thread.join();
        }
    }
}
