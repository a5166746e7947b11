//! Holds remote resources: each is written to the ledger before it is created, and looked up rather than created again.

use std::future::Future;

use tokio::time::Instant;

use super::context::RunContext;
use super::event::EventKind;
use super::names;
use super::wait::{is_passing, pause_after};
use crate::nemo::ApiError;
use crate::retry::Backoff;
use crate::store::{NewResource, Resource, ResourceKind, ResourceState};

/// How often a create that did not happen is sent. A refused connection has had its tries in the client before.
const CREATES: Backoff = Backoff::SHORT;

/// The tries of a create whose request may be at fault (docs/helix-api.md, Requests and answers).
const CREATES_AGAIN: Backoff = Backoff { tries: 2, ..CREATES };

/// A resource to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResourceSpec<'a> {
    pub kind: ResourceKind,
    /// The name without an attempt number.
    pub base: &'a str,
    /// `None` for a resource of the whole run.
    pub candidate: Option<&'a str>,
    /// Two creates of one name make one resource, so one that an earlier process did not see answered may be repeated at once.
    pub by_name: bool,
}

/// The result of a look-up on the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Absent,
    /// Found, with the id that the platform gave it, if any.
    Found(Option<String>),
    /// Found, but of no further use, because it ended badly. Another attempt is due.
    Spent(Option<String>),
}

impl RunContext {
    /// Holds a remote resource. If an earlier process has a row for it, `look_up` looks for it: by id when the row has
    /// one, else by name or description. Otherwise the intent is written and `create` is called. A create that may have
    /// happened is looked up, and sent again once the look-up has shown that it did not.
    ///
    /// # Errors
    /// When the platform refuses, or with `Interrupted` when the run was asked to stop before the create.
    pub(crate) async fn hold<L, LF, C, CF>(
        &self,
        spec: ResourceSpec<'_>,
        look_up: L,
        create: C,
    ) -> anyhow::Result<Resource>
    where
        L: Fn(Resource) -> LF,
        LF: Future<Output = anyhow::Result<Lookup>>,
        C: Fn(Resource) -> CF,
        CF: Future<Output = Result<Option<String>, ApiError>>,
    {
        self.stop.check()?;
        if let Some(resource) = self.store.open_resource(&self.id, spec.kind, spec.base)?
            && let Some(resource) = self.find_again(&resource, spec, &look_up).await?
        {
            return Ok(resource);
        }
        let (mut tries, mut maybe_made) = (0, false);
        loop {
            self.stop.check()?;
            let resource = self.intend(spec)?;
            let error = match create(resource.clone()).await {
                Ok(remote_id) => return self.mark_live(resource, remote_id.as_deref()),
                Err(error) => error,
            };
            tries += 1;
            let is_unclear = error.already_exists() || error.may_have_been_accepted();
            maybe_made |= is_unclear;
            if is_unclear {
                match self.look_until_settled(&resource, &look_up).await? {
                    Lookup::Found(remote_id) => return self.mark_live(resource, remote_id.as_deref()),
                    Lookup::Spent(_) => return Err(error.into()),
                    Lookup::Absent if error.already_exists() => return Err(error.into()),
                    Lookup::Absent => {}
                }
            }
            let creates = if error.may_be_of_the_request() { CREATES_AGAIN } else { CREATES };
            let pause = creates.pause(tries, None).filter(|_| is_unclear || error.is_transient());
            let Some(pause) = pause else {
                // Refused or never sent, so nothing exists. Only of what is made by several calls a part may.
                if !maybe_made && !matches!(spec.kind, ResourceKind::Dataset | ResourceKind::BaseModel) {
                    self.store.mark_released(resource.id)?;
                }
                return Err(error.into());
            };
            tracing::warn!(%error, name = resource.name, "it was not created, trying again");
            self.pause(pause).await?;
        }
    }

    /// Writes the intent, or renews the one that an earlier process left.
    fn intend(&self, spec: ResourceSpec<'_>) -> anyhow::Result<Resource> {
        match self.store.open_resource(&self.id, spec.kind, spec.base)? {
            Some(resource) if resource.state == ResourceState::Intended && !resource.finished => {
                self.store.renew_intent(resource.id)?;
                Ok(resource)
            }
            _ => Ok(self.store.record_intent(&NewResource {
                run: &self.id,
                candidate: spec.candidate,
                kind: spec.kind,
                base: spec.base,
                platform: &self.platform,
            })?),
        }
    }

    /// Returns the resource of an earlier process if the platform still has it. Otherwise settles its row.
    async fn find_again<L, LF>(
        &self,
        resource: &Resource,
        spec: ResourceSpec<'_>,
        look_up: &L,
    ) -> anyhow::Result<Option<Resource>>
    where
        L: Fn(Resource) -> LF,
        LF: Future<Output = anyhow::Result<Lookup>>,
    {
        if resource.platform != self.platform {
            // It ended with the process of its platform. The URLs of a cluster are part of the plan and do not change.
            self.store.mark_released(resource.id)?;
            return Ok(None);
        }
        let found = match resource.state {
            ResourceState::Intended if !spec.by_name => self.look_until_settled(resource, look_up).await?,
            ResourceState::Intended | ResourceState::Live | ResourceState::Released => {
                self.read(look_up(resource.clone())).await?
            }
        };
        match found {
            Lookup::Found(remote_id) => Ok(Some(self.mark_live(resource.clone(), remote_id.as_deref())?)),
            Lookup::Spent(remote_id) => {
                self.store.mark_live(resource.id, remote_id.as_deref())?;
                self.store.mark_finished(resource.id)?;
                Ok(None)
            }
            Lookup::Absent if resource.state == ResourceState::Intended && spec.by_name => Ok(None),
            Lookup::Absent => {
                self.store.mark_released(resource.id)?;
                Ok(None)
            }
        }
    }

    /// Looks for a resource whose create was not answered, until it appears or `limits.settle` has passed.
    async fn look_until_settled<L, LF>(&self, resource: &Resource, look_up: &L) -> anyhow::Result<Lookup>
    where
        L: Fn(Resource) -> LF,
        LF: Future<Output = anyhow::Result<Lookup>>,
    {
        let started = Instant::now();
        let settle = names::millis(self.plan.limits.settle_ms);
        let mut away_since: Option<Instant> = None;
        loop {
            let last = started.elapsed() >= settle;
            match self.read(look_up(resource.clone())).await {
                Ok(Lookup::Absent) => {
                    away_since = None;
                    self.store.record_vain_lookup(resource.id)?;
                    if last {
                        return Ok(Lookup::Absent);
                    }
                }
                Ok(found) => return Ok(found),
                // The create was lost because the service is away, and then the look-up is lost too.
                Err(error) if !is_passing(&error, &mut away_since) => return Err(error),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot look it up yet, trying again"),
            }
            let rest = settle.saturating_sub(started.elapsed());
            let pause = pause_after(started.elapsed());
            self.pause(if away_since.is_some() { pause } else { pause.min(rest) }).await?;
        }
    }

    fn mark_live(&self, mut resource: Resource, remote_id: Option<&str>) -> anyhow::Result<Resource> {
        self.store.mark_live(resource.id, remote_id)?;
        resource.state = ResourceState::Live;
        if let Some(remote_id) = remote_id {
            resource.remote_id = Some(remote_id.to_owned());
        }
        self.events.tell(EventKind::ResourceLive { kind: resource.kind, name: resource.name.clone() });
        Ok(resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_whose_request_may_be_at_fault_is_sent_once_more() {
        assert!(CREATES_AGAIN.pause(1, None).is_some() && CREATES_AGAIN.pause(2, None).is_none());
        assert!(CREATES.pause(2, None).is_some());
    }
}
