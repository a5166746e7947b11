//! The state of one embedded platform, shared by all routes.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::Options;
use super::gate::Gate;

/// Everything that one embedded platform is and holds.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) port: u16,
    /// `http://127.0.0.1:PORT`.
    pub(super) base: String,
    /// The random id of this platform.
    pub(super) instance: String,
    /// What marks this platform's own calls to itself.
    pub(super) key: String,
    pub(super) gate: Gate,
    shut: AtomicBool,
}

impl World {
    pub(super) fn new(options: Options, port: u16) -> Self {
        World {
            options,
            port,
            base: format!("http://127.0.0.1:{port}"),
            instance: Uuid::new_v4().simple().to_string(),
            key: Uuid::new_v4().simple().to_string(),
            gate: Gate::default(),
            shut: AtomicBool::new(false),
        }
    }

    /// Tells the work under way to end.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// Everything that exists, for `/control/state`.
    pub(super) fn everything(&self) -> Value {
        json!({})
    }
}
