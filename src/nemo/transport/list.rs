//! Paging through lists (docs/nemo-api.md, Lists).

use std::ops::ControlFlow;

use serde_json::Value;

use super::error::ApiError;
use super::form::Form;
use super::read_json;
use super::request::{ApiRequest, Destination, Endpoint};
use super::send::Transport;

/// The number of items per page.
const PAGE_SIZE: u64 = 100;
/// A server that offers more pages than this makes them up.
const MOST_PAGES: u64 = 10_000;

impl Transport {
    /// Passes each page of a list to `look`, until `look` breaks or the list ends.
    pub(crate) async fn pages(
        &self,
        service: impl Into<Endpoint>,
        path: &[&str],
        sort: Option<&str>,
        mut look: impl FnMut(&[Value]) -> ControlFlow<()> + Send,
    ) -> Result<(), ApiError> {
        let service = service.into();
        let mut before: Option<Value> = None;
        for page in 1..=MOST_PAGES {
            let mut request =
                ApiRequest::get(service, path).patient().answers(Form::List).query("page", page.to_string());
            request = request.query("page_size", PAGE_SIZE.to_string());
            if let Some(sort) = sort {
                request = request.query("sort", sort);
            }
            let response = self.send(request).await?;
            let list = response.json()?;
            let items = read_json::list(&list, &["data"]);
            // A server that ignores `page` returns the same items for ever.
            if items.is_empty() || items.first() == before.as_ref() || look(items).is_break() {
                return Ok(());
            }
            if read_json::integer(&list, &["pagination", "total_pages"]).is_some_and(|pages| page >= pages) {
                return Ok(());
            }
            before = items.first().cloned();
        }
        Ok(())
    }

    /// Finds a thing in the list that it belongs to. The last `named_by` segments of its path are its id, or its namespace
    /// and its name.
    pub(crate) async fn find_in_list(&self, to: &Destination, named_by: usize) -> Result<Option<Value>, ApiError> {
        let Destination::Service(service, path) = to else { return Ok(None) };
        let (list, named) = path.split_at(path.len().saturating_sub(named_by));
        let is = |item: &Value, key: &str, text: &str| read_json::text(item, &[key]).as_deref() == Some(text);
        // Helix lists a deleted deployment for a while (docs/helix-api.md, Deployments).
        let is_there = |item: &Value| !is(item, "status", "DELETED");
        let is_it = |item: &&Value| {
            is_there(item)
                && match named {
                    [namespace, name] => is(item, "namespace", namespace) && is(item, "name", name),
                    [id] => is(item, "id", id) || is(item, "name", id),
                    _ => false,
                }
        };
        let mut found = None;
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let look = |items: &[Value]| match items.iter().find(is_it) {
            Some(item) => {
                found = Some(item.clone());
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        };
        self.pages(*service, &list, None, look).await?;
        Ok(found)
    }

    /// Returns all items of a list.
    pub(crate) async fn all(&self, service: impl Into<Endpoint>, path: &[&str]) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        let look = |items: &[Value]| {
            all.extend_from_slice(items);
            ControlFlow::Continue(())
        };
        self.pages(service, path, None, look).await?;
        Ok(all)
    }
}
