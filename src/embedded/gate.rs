//! The gate that every request passes: it counts platform calls, holds one of them on command, marks the answer with
//! the instance, and lets a handler run to its end when its client is gone. What the calls do is not known here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::body;
use super::faults::{self, Met};
use super::world::World;

/// The answer header that carries the instance.
const INSTANCE: &str = "x-dfwfd-embedded";

/// The request header by which the platform knows its own calls; they are neither counted nor held.
pub(super) const INTERNAL: &str = "x-dfwfd-internal";

/// On which side of its effect a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum When {
    Before,
    After,
}

/// One platform call, as `/control/calls` lists it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Call {
    n: u64,
    method: String,
    path: String,
}

/// Counts platform calls and holds one of them.
#[derive(Debug, Default)]
pub(super) struct Gate {
    ledger: Mutex<Ledger>,
    released: Notify,
}

#[derive(Debug, Default)]
struct Ledger {
    calls: Vec<Call>,
    armed: Option<Armed>,
    held: bool,
    /// How often a call was armed for: tells the call that is meant from one that an earlier order meant.
    orders: u64,
}

/// The call to hold.
#[derive(Debug)]
struct Armed {
    call: u64,
    when: When,
    /// Only calls that begin so, as `POST /nemo/v1/customization/jobs`, are counted for it.
    matching: String,
    seen: u64,
    order: u64,
}

impl Gate {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from zero again and holds the `call`-th platform call from now among those whose method and path begin as
    /// `matching`; a call held until now goes on.
    pub(super) fn arm(&self, call: u64, when: When, matching: String) {
        let mut ledger = self.ledger();
        let order = ledger.orders + 1;
        let armed = Some(Armed { call, when, matching, seen: 0, order });
        *ledger = Ledger { calls: Vec::new(), armed, held: false, orders: order };
        self.released.notify_waiters();
    }

    /// Lets the held call go on, and holds none any more.
    pub(super) fn release(&self) {
        let mut ledger = self.ledger();
        ledger.armed = None;
        ledger.held = false;
        self.released.notify_waiters();
    }

    /// Counts from zero again; what is armed and held stays so.
    pub(super) fn forget(&self) {
        self.ledger().calls = Vec::new();
    }

    /// The calls since the last `arm` or `forget`, and whether one is being held.
    pub(super) fn calls(&self) -> (Vec<Call>, bool) {
        let ledger = self.ledger();
        (ledger.calls.clone(), ledger.held)
    }

    /// Lists a call; the order that it is to be held by, if it is the one that is meant.
    fn arrive(&self, request: &Request) -> Option<u64> {
        let mut ledger = self.ledger();
        let n = ledger.calls.len() as u64 + 1;
        let path = request.uri().path_and_query().map_or_else(|| request.uri().path(), |all| all.as_str());
        let call = Call { n, method: request.method().to_string(), path: path.to_owned() };
        let line = format!("{} {}", call.method, call.path);
        ledger.calls.push(call);
        let armed = ledger.armed.as_mut().filter(|armed| line.starts_with(&armed.matching))?;
        armed.seen += 1;
        (armed.seen == armed.call).then_some(armed.order)
    }

    async fn hold(&self, order: Option<u64>, when: When) {
        let released = self.released.notified();
        tokio::pin!(released);
        {
            let mut ledger = self.ledger();
            let meant = |armed: &Armed| Some(armed.order) == order && armed.when == when;
            if !ledger.armed.as_ref().is_some_and(meant) {
                return;
            }
            ledger.held = true;
            // Waits from here on, while the lock is held: a release cannot slip in between.
            released.as_mut().enable();
        }
        released.await;
    }
}

/// The middleware around every route.
pub(super) async fn pass(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let met = world.faults.meet(&request, is_own(&world, &request));
    if let Some(strike) = met.strike.as_ref().filter(|strike| strike.refuses()) {
        return faults::cut_off(strike);
    }
    let mut answer = match body::whole(request).await {
        Ok(request) => {
            // A task of its own: dropping this future (the client hung up) does not stop it.
            let through = tokio::spawn(go(Arc::clone(&world), request, next, met));
            through.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        Err(refusal) => refusal.into_response(),
    };
    if let Ok(instance) = HeaderValue::from_str(&world.instance) {
        answer.headers_mut().insert(INSTANCE, instance);
    }
    answer
}

/// Whether the platform itself is calling.
fn is_own(world: &World, request: &Request) -> bool {
    request.headers().get(INTERNAL).is_some_and(|key| key.as_bytes() == world.key.as_bytes())
}

async fn go(world: Arc<World>, mut request: Request, next: Next, met: Met) -> Response {
    let strike = met.ready().await;
    let own = is_own(&world, &request);
    request.headers_mut().remove(INTERNAL);
    if !world.options.control || own || request.uri().path().starts_with("/control/") {
        return faults::run(strike, request, next).await;
    }
    let order = world.gate.arrive(&request);
    world.gate.hold(order, When::Before).await;
    let answer = faults::run(strike, request, next).await;
    world.gate.hold(order, When::After).await;
    answer
}
