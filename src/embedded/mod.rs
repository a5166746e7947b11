//! The embedded platform: a NeMo-compatible server on a loopback port. It stores, deploys, trains, evaluates and serves
//! for real, with the small text models of `student` instead of language models.
//!
//! Layers, from the bottom: `timing`, `wire` and `hosted_endpoints`; `state`, the plain data; `data_dir`, which stores
//! it, and `faults`; `backend`, which locks it; `services`, the routes of each service; `control`, `gateway` and
//! `routes`.

mod backend;
mod call_log;
mod control;
mod data_dir;
mod faults;
mod gateway;
mod hosted_endpoints;
mod options;
mod routes;
mod services;
mod simulation;
mod state;
mod timing;
mod wire;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

pub use data_dir::DataDirError;
pub use faults::{BadFault, FaultSpec};
pub use options::{AccessToken, Options, UploadMode};
pub use timing::Clock;

use backend::Backend;
use faults::{ConnectionSwitch, SwitchedListener};
use services::{customizer, evaluator};

/// The longest time that a stopping server waits for cancelled work.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// The reason why a platform did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be used, or the system refuses a resource.
    #[error(transparent)]
    Listening(#[from] io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// A running embedded platform. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    backend: Arc<Backend>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Binds the port and starts serving. Connections are accepted when this returns.
    ///
    /// # Errors
    /// Fails if the port cannot be listened on, or the data directory cannot be used.
    pub fn start(options: Options) -> Result<Server, StartError> {
        let listener = std::net::TcpListener::bind((options.address, options.port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        // Opens before the runtime exists: a runtime cannot be dropped inside a caller's own runtime.
        let backend = Arc::new(Backend::open(options, port)?);
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("dfwfd-embedded-worker").enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&backend);
        let thread = thread::Builder::new()
            .name("dfwfd-embedded".into())
            .spawn(move || serve(runtime, listener, &served, stopped))?;
        Ok(Server { backend, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.backend.port
    }

    /// Returns the random id of this platform, which every answer carries as `x-dfwfd-embedded`.
    pub fn instance(&self) -> &str {
        &self.backend.instance
    }

    /// Returns the base URLs of the NeMo services, the NIM proxy and the Data Store, without a trailing slash.
    pub fn base_urls(&self) -> (String, String, String) {
        let base = &self.backend.base;
        (format!("{base}/nemo"), format!("{base}/nim"), format!("{base}/datastore"))
    }

    /// Returns the scripted faults that have struck no call.
    pub(crate) fn unused_faults(&self) -> Vec<String> {
        self.backend.faults.unused()
    }

    /// Ends the server: closes the port and cancels work under way.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        self.backend.shut();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported a panic of the thread.
            let _ = thread.join();
        }
        self.backend.close();
    }
}

/// Serves until stopped.
fn serve(runtime: Runtime, listener: std::net::TcpListener, backend: &Arc<Backend>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => SwitchedListener(listener),
            Err(error) => return tracing::error!(%error, "registering the listener of the embedded platform"),
        };
        customizer::resume(backend);
        evaluator::resume(backend);
        tokio::select! {
            served = axum::serve(listener, routes::router(backend).into_make_service_with_connect_info::<ConnectionSwitch>()) => {
                if let Err(error) = served {
                    tracing::error!(%error, "serving the embedded platform");
                }
            }
            // The sender is dropped to stop the server.
            _ = stopped => {}
        }
    });
    runtime.shutdown_timeout(STOP_WAIT);
}
