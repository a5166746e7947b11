//! Paging through the services' lists (nemo-wire 1.5). Knows the envelope, no item.

use std::ops::ControlFlow;

use serde_json::Value;

use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::read;

/// Items asked for at once.
const PAGE_SIZE: u64 = 100;
/// More pages than this are a server that makes them up.
const MOST_PAGES: u64 = 10_000;

impl Client {
    /// Hands each page of a list to `look`, until that breaks or the list ends.
    pub(crate) async fn pages(
        &self,
        service: Service,
        path: &[&str],
        sort: Option<&str>,
        mut look: impl FnMut(&[Value]) -> ControlFlow<()> + Send,
    ) -> Result<(), ApiError> {
        let mut before: Option<Value> = None;
        for page in 1..=MOST_PAGES {
            let mut call = Call::get(service, path).query("page", page.to_string());
            call = call.query("page_size", PAGE_SIZE.to_string());
            if let Some(sort) = sort {
                call = call.query("sort", sort);
            }
            let answer = self.send(call).await?;
            let list = answer.json()?;
            if !list.is_object() {
                return Err(answer.unreadable("not a list"));
            }
            let items = read::list(&list, &["data"]);
            // A server that ignores `page` gives the same items for ever.
            if items.is_empty() || items.first() == before.as_ref() || look(items).is_break() {
                return Ok(());
            }
            if read::integer(&list, &["pagination", "total_pages"]).is_some_and(|pages| page >= pages) {
                return Ok(());
            }
            before = items.first().cloned();
        }
        Ok(())
    }

    /// All items of a list.
    pub(crate) async fn all(&self, service: Service, path: &[&str]) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        let look = |items: &[Value]| {
            all.extend_from_slice(items);
            ControlFlow::Continue(())
        };
        self.pages(service, path, None, look).await?;
        Ok(all)
    }

    /// The newest job that carries exactly this description and is not older than `since_ms`; one without a timestamp
    /// counts as new.
    pub(crate) async fn find_described(
        &self,
        service: Service,
        path: &[&str],
        description: &str,
        since_ms: i64,
    ) -> Result<Option<Value>, ApiError> {
        let mut found: Option<(Option<i64>, Value)> = None;
        let look = |items: &[Value]| {
            let created: Vec<Option<i64>> = items.iter().map(|item| read::millis(item, &["created_at"])).collect();
            for (item, at) in items.iter().zip(&created) {
                let fresh = at.is_none_or(|at| at >= since_ms);
                let better = found.as_ref().is_none_or(|(best, _)| *at > *best);
                if fresh && better && read::text(item, &["description"]).as_deref() == Some(description) {
                    found = Some((*at, item.clone()));
                }
            }
            // Only a list that is seen to be newest first may be left early: a server may ignore `sort`.
            let known: Vec<i64> = created.into_iter().flatten().collect();
            let newest_first = known.is_sorted_by(|a, b| a >= b);
            let past = known.last().is_some_and(|last| *last < since_ms);
            if newest_first && (past || found.is_some()) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.pages(service, path, Some("-created_at"), look).await?;
        Ok(found.map(|(_, item)| item))
    }
}
