//! A runtime in a thread of its own, so that callers stay synchronous with or without a runtime around them.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::error::ElasticError;

/// The runtime. Dropping it ends it and all tasks in it.
#[derive(Debug)]
pub(crate) struct BackgroundRuntime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl BackgroundRuntime {
    /// Starts the thread.
    pub(crate) fn start() -> Result<BackgroundRuntime, ElasticError> {
        let broken =
            |error: std::io::Error| ElasticError::Setup(format!("cannot start the thread of the log store: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(broken)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("elasticsearch".to_owned())
            .spawn(move || {
                // An error means that the sender was dropped, which ends the runtime as well.
                let _ = runtime.block_on(stopped);
            })
            .map_err(broken)?;
        Ok(BackgroundRuntime { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Spawns a task. Its result comes through the channel, which closes without one only if the task panics.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> mpsc::Receiver<T> {
        let (give, take) = mpsc::channel();
        self.handle.spawn(async move {
            // The receiver may be gone.
            let _ = give.send(work.await);
        });
        take
    }

    /// Runs a task and waits for its result.
    pub(crate) fn block_on<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ElasticError>> + Send + 'static,
    ) -> Result<T, ElasticError> {
        self.spawn(work).recv().unwrap_or_else(|_| Err(runtime_ended()))
    }
}

/// Returns the error of a task that panicked, which only a defect can cause.
pub(crate) fn runtime_ended() -> ElasticError {
    ElasticError::Setup("cannot reach the log store: its thread has ended".to_owned())
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The receiver of its result has reported a panic.
            let _ = thread.join();
        }
    }
}
