//! The log of platform calls, and the one call that it holds on command, before or after its effect.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::Request;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// The side of its effect on which a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HoldPoint {
    Before,
    After,
}

/// One platform call, as `/control/calls` lists it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoggedCall {
    n: u64,
    method: String,
    path: String,
}

/// The calls so far, and the order to hold one.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    count: Mutex<CallCount>,
    released: Notify,
}

#[derive(Debug, Default)]
struct CallCount {
    calls: Vec<LoggedCall>,
    armed: Option<HoldOrder>,
    held: bool,
    /// The number of the latest order. A call remembers its order, so a later order does not hold it.
    last_order: u64,
}

/// The call to hold.
#[derive(Debug)]
struct HoldOrder {
    call: u64,
    when: HoldPoint,
    /// Counts only calls whose method and path begin with this, such as `POST /nemo/v1/customization/jobs`.
    matching: String,
    seen: u64,
    order: u64,
}

impl CallLog {
    fn count(&self) -> MutexGuard<'_, CallCount> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the log, and orders to hold the `call`-th call from now among those whose method and path begin with
    /// `matching`. A call that is held goes on.
    pub(crate) fn arm(&self, call: u64, when: HoldPoint, matching: String) {
        let mut count = self.count();
        let order = count.last_order + 1;
        let armed = Some(HoldOrder { call, when, matching, seen: 0, order });
        *count = CallCount { calls: Vec::new(), armed, held: false, last_order: order };
        self.released.notify_waiters();
    }

    /// Lets the held call go on, and cancels the order.
    pub(crate) fn release(&self) {
        let mut count = self.count();
        count.armed = None;
        count.held = false;
        self.released.notify_waiters();
    }

    /// Resets the log; the order and a held call stay.
    pub(crate) fn forget(&self) {
        self.count().calls = Vec::new();
    }

    /// Returns the calls since the last reset, and whether one is held.
    pub(crate) fn calls(&self) -> (Vec<LoggedCall>, bool) {
        let count = self.count();
        (count.calls.clone(), count.held)
    }

    /// Logs a call, and returns the order that holds it.
    pub(crate) fn arrive(&self, request: &Request) -> Option<u64> {
        let mut count = self.count();
        let n = count.calls.len() as u64 + 1;
        let path = request.uri().path_and_query().map_or_else(|| request.uri().path(), |all| all.as_str());
        let call = LoggedCall { n, method: request.method().to_string(), path: path.to_owned() };
        let line = format!("{} {}", call.method, call.path);
        count.calls.push(call);
        let armed = count.armed.as_mut().filter(|armed| line.starts_with(&armed.matching))?;
        armed.seen += 1;
        (armed.seen == armed.call).then_some(armed.order)
    }

    pub(crate) async fn hold(&self, order: Option<u64>, when: HoldPoint) {
        let released = self.released.notified();
        tokio::pin!(released);
        {
            let mut count = self.count();
            let meant = |armed: &HoldOrder| Some(armed.order) == order && armed.when == when;
            if !count.armed.as_ref().is_some_and(meant) {
                return;
            }
            count.held = true;
            // Starts to wait while the lock is held, so that no release is missed.
            released.as_mut().enable();
        }
        released.await;
    }
}
