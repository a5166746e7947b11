//! The backend of all routes: the state behind one lock, the files, the data directory, the scripted faults. A handler
//! never holds the lock across an await.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use uuid::Uuid;

use super::call_log::CallLog;
use super::data_dir::{DataDirError, Journal};
use super::faults::Faults;
use super::hosted_endpoints::EndpointClients;
use super::options::Options;
use super::state::blobs::BlobStore;
use super::state::deployment::Deployment;
use super::state::{PlatformState, training_targets};
use super::timing::Clock;

/// The request header by which the platform recognises its own calls, which are neither counted nor held.
pub(crate) const INTERNAL_HEADER: &str = "x-dfwfd-internal";

/// Everything that the routes of one platform share.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) options: Options,
    pub(crate) port: u16,
    /// `http://127.0.0.1:PORT`, unless it listens on one other address only.
    pub(crate) base: String,
    /// The random id of this platform.
    pub(crate) instance: String,
    /// The value of [`INTERNAL_HEADER`].
    pub(crate) internal_key: String,
    pub(crate) call_log: CallLog,
    pub(crate) faults: Faults,
    pub(crate) endpoint_clients: EndpointClients,
    pub(crate) blobs: BlobStore,
    /// The open data directory, if there is one.
    journal: Option<Journal>,
    state: Mutex<PlatformState>,
    shut: AtomicBool,
    /// When it was opened.
    pub(crate) started: Instant,
}

/// The locked state. Dropping it writes the changes made through it to the data directory, as one transaction.
pub(crate) struct StateGuard<'a> {
    backend: &'a Backend,
    state: MutexGuard<'a, PlatformState>,
}

impl Deref for StateGuard<'_> {
    type Target = PlatformState;

    fn deref(&self) -> &PlatformState {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut PlatformState {
        &mut self.state
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        // The changes of a handler that panics are not written now, only with the next change.
        if thread::panicking() || !(self.state.has_changes() || self.backend.blobs.has_changes()) {
            return;
        }
        match &self.backend.journal {
            Some(journal) => journal.save(&mut self.state, &self.backend.blobs),
            None => {
                self.state.forget_changes();
                self.backend.blobs.take_fresh();
                self.backend.blobs.sweep();
            }
        }
    }
}

impl Backend {
    /// Opens a platform, with the contents of its data directory if it has one.
    pub(crate) fn open(options: Options, port: u16) -> Result<Self, DataDirError> {
        let journal = options.data_dir.as_deref().map(Journal::open).transpose()?;
        let faults = Faults::new(options.faults.clone());
        let address = if options.address.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { options.address };
        let mut backend = Backend {
            options,
            port,
            base: format!("http://{}", SocketAddr::new(address, port)),
            instance: Uuid::new_v4().simple().to_string(),
            internal_key: Uuid::new_v4().simple().to_string(),
            call_log: CallLog::default(),
            endpoint_clients: EndpointClients::default(),
            faults,
            blobs: journal.as_ref().map_or_else(BlobStore::temporary, Journal::blobs),
            journal: None,
            state: Mutex::default(),
            shut: AtomicBool::new(false),
            started: Instant::now(),
        };
        let restored = journal.as_ref().map(Journal::restore).transpose()?.flatten();
        backend.journal = journal;
        match restored {
            Some(restored) => {
                backend.instance = restored.instance;
                backend.blobs = restored.blobs;
                backend.state = Mutex::new(restored.state);
            }
            None => {
                training_targets::add_built_in(&mut backend.state().targets);
                if let Some(journal) = &backend.journal {
                    journal.name_platform(&backend.instance, &backend.blobs);
                }
            }
        }
        backend.state().simulated = (backend.options.clock == Clock::Simulated).then_some(backend.started);
        Ok(backend)
    }

    /// Locks the state.
    pub(crate) fn state(&self) -> StateGuard<'_> {
        StateGuard { backend: self, state: self.state.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Returns why the latest changes are not on disk, if they should be.
    pub(crate) fn save_failure(&self) -> Option<String> {
        self.journal.as_ref()?.failure()
    }

    /// Frees the data directory; later changes are not written.
    pub(crate) fn close(&self) {
        if let Some(journal) = &self.journal {
            journal.close();
        }
    }

    /// Returns whether status reads, not time, move things along.
    pub(crate) fn is_polled(&self) -> bool {
        self.options.clock.is_polled()
    }

    /// Ends the rollouts of all deployments that are due.
    pub(crate) fn settle_deployments(&self, state: &mut PlatformState) {
        let clock = self.options.clock;
        let now = state.now();
        let due = |(at, one): (usize, &Deployment)| one.is_due(clock, now).then_some(at);
        let due: Vec<usize> = state.deployments.iter().enumerate().filter_map(due).collect();
        for at in due {
            let failure = self.faults.failure(&state.deployments[at].id());
            state.deployments[at].end_rollout(clock, now, failure);
        }
    }

    /// Tells the work under way to stop: the platform ends.
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// Returns whether the platform is ending.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }
}
