//! The NeMo-compatible server inside this process: one axum server on a loopback port that stores, deploys, trains,
//! evaluates and serves for real, with the small text models of `student` in place of language models.
//!
//! This file owns what the rest of the crate sees (`Options`, `Server`) and the server's life. The wire is described
//! once more here than in `nemo/`, on purpose: a typo shared with the client would pass every test.

mod body;
mod clock;
mod contents;
mod control;
mod customizer;
mod datastore;
mod deployments;
mod entities;
mod evaluator;
mod faults;
mod fields;
mod gate;
mod listing;
mod nim;
mod outside;
mod persist;
mod roll;
mod routes;
mod scratch;
mod shelf;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

pub use faults::{BadFault, FaultSpec};
pub use persist::DataDirError;

use faults::{Line, Lines};
use world::World;

/// How an embedded platform behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// GPUs of the virtual pool that deployments and training jobs share.
    pub gpus: u32,
    /// What the Data Store asks uploaders to do.
    pub upload_mode: UploadMode,
    /// What moves deployments and jobs along.
    pub clock: Clock,
    /// Whether the control endpoints below `/control` exist.
    pub control: bool,
    /// Failures that are scripted from the start.
    pub faults: Vec<FaultSpec>,
    /// Where everything is kept that outlives the process; nothing does without.
    pub data_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            port: 0,
            gpus: 4,
            upload_mode: UploadMode::Regular,
            clock: Clock::Real,
            control: false,
            faults: Vec::new(),
            data_dir: None,
        }
    }
}

/// What the Data Store answers to a preupload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// File contents travel inside the commit.
    Regular,
    /// File contents are put with git-LFS first.
    Lfs,
}

/// What moves deployments and jobs along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time: deployments take a fraction of a second, training and evaluation as long as they take.
    Real,
    /// Reads: each status read advances one step, and time means nothing.
    Polls,
}

/// How long a stopping server waits for work that is being cancelled.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// Why a platform did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port, or what it needs of the system.
    #[error(transparent)]
    Listening(#[from] io::Error),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// A running embedded platform; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    world: Arc<World>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Binds the port and starts serving; connections are accepted once this returns.
    ///
    /// # Errors
    /// When the port cannot be listened on, or the data directory cannot be used.
    pub fn start(options: Options) -> Result<Server, StartError> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        // Before the runtime: one that is dropped by a caller within another cannot be.
        let world = Arc::new(World::open(options, port)?);
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("dfwfd-embedded-worker").enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&world);
        let thread = thread::Builder::new()
            .name("dfwfd-embedded".into())
            .spawn(move || serve(runtime, listener, &served, stopped))?;
        Ok(Server { world, stop: Some(stop), thread: Some(thread) })
    }

    /// The port that is listened on.
    pub fn port(&self) -> u16 {
        self.world.port
    }

    /// The random id of this platform, sent with every answer as `x-dfwfd-embedded`.
    pub fn instance(&self) -> &str {
        &self.world.instance
    }

    /// The base URLs of the NeMo services, the NIM proxy and the Data Store, in this order, without a trailing slash.
    pub fn base_urls(&self) -> (String, String, String) {
        let base = &self.world.base;
        (format!("{base}/nemo"), format!("{base}/nim"), format!("{base}/datastore"))
    }

    /// The scripted faults that have struck no call so far, as they were written.
    pub fn unused_faults(&self) -> Vec<String> {
        self.world.faults.unused()
    }

    /// Ends the server: no connection is accepted any more, work under way is cancelled.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        self.world.shut();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported by the panic hook; there is nothing left to save.
            let _ = thread.join();
        }
        self.world.close();
    }
}

/// The body of the server's thread.
fn serve(runtime: Runtime, listener: std::net::TcpListener, world: &Arc<World>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => Lines(listener),
            Err(error) => return tracing::error!(%error, "registering the listener of the embedded platform"),
        };
        world.resume();
        tokio::select! {
            served = axum::serve(listener, routes::router(world).into_make_service_with_connect_info::<Line>()) => {
                if let Err(error) = served {
                    tracing::error!(%error, "serving the embedded platform");
                }
            }
            // Ends by its sender being dropped.
            _ = stopped => {}
        }
    });
    runtime.shutdown_timeout(STOP_WAIT);
}
