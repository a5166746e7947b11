//! What an index holds: counted by the server where its mapping allows, else by reading every record.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::error::ElasticError;
use super::halt::Halt;
use super::index::{Index, is_any, look};
use super::mapping;
use super::read::Pages;
use super::thread::Thread;
use super::window;
use crate::data::forms::reshape::Reshaper;
use crate::data::label::LabelReader;
use crate::data::options::{Fields, Filter, IndexAt};
use crate::source::credentials::Credentials;
use crate::source::input::reshaped::Reshaped;
use crate::source::lines::Lines;
use crate::source::listing::{ListingTally, StoreListing, WorkloadListing};

/// Groups in one answer.
const GROUPS: usize = 1000;

/// Counts the records that `filter` lets pass. Labels are counted only where every record has to be read.
pub(crate) fn list(
    at: &IndexAt,
    credentials: &Credentials,
    labels: &LabelReader,
    filter: &Filter,
    halt: &Halt,
) -> anyhow::Result<StoreListing> {
    let reading = || format!("listing the records of {at}");
    let client = Client::new(at, credentials).with_context(reading)?;
    match counted(&client, filter).with_context(reading)? {
        Some(contents) => Ok(contents),
        None => {
            let pages = Pages::open(at, credentials, filter, halt).with_context(reading)?;
            scanned(pages, &at.fields, labels, filter, reading)
        }
    }
}

/// The call that deletes the records which `filter` lets pass, as a shell line; `None` when the server cannot tell them.
pub(crate) fn deletion(at: &IndexAt, credentials: &Credentials, filter: &Filter) -> anyhow::Result<Option<String>> {
    let (client, wanted) = (Client::new(at, credentials)?, filter.clone());
    let index = Thread::start()?.run(async move { look(&client, &wanted).await })?;
    if !index.exact {
        return Ok(None);
    }
    let body = json!({"query": mapping::all_of(index.parts)}).to_string().replace('\'', r"'\''");
    Ok(Some(format!(
        "curl -X POST '{at}/_delete_by_query?refresh=true' -H 'content-type: application/json' -d '{body}'"
    )))
}

/// `None` where the server cannot count, or not each record under the names that it has.
pub(super) fn counted(client: &Client, filter: &Filter) -> Result<Option<StoreListing>, ElasticError> {
    let (client, filter) = (Arc::new(client.clone()), filter.clone());
    Thread::start()?.run(async move {
        let index = look(&client, &filter).await?;
        let fields = (index.mapping.grouped("workload_id"), index.mapping.grouped("client_id"));
        let kind = index.mapping.time_kind().filter(|_| index.exact);
        let ((Some(workload), Some(customer)), Some(unit), Some(_)) = (fields, index.units.only(), kind) else {
            return Ok(None);
        };
        // Times that the server could not read would be counted as none.
        let time = index.mapping.path("timestamp").to_owned();
        let mut parts = index.parts.clone();
        parts.push(window::ignored(&time));
        if is_any(&client, &mapping::all_of(parts)).await? {
            return Ok(None);
        }
        Groups { client: &client, index: &index, workload, customer, time, unit }.count().await
    })
}

/// How records are grouped.
struct Groups<'a> {
    client: &'a Client,
    index: &'a Index,
    /// Fields, and whether they hold every name: too long ones may not be indexed.
    workload: (String, bool),
    customer: (String, bool),
    time: String,
    unit: i64,
}

impl Groups<'_> {
    /// Asks for page after page of groups: every one of them comes, and each count is exact. `None` when there are
    /// records whose names the index may not hold.
    async fn count(&self) -> Result<Option<StoreListing>, ElasticError> {
        let source = |name: &str, (field, _): &(String, bool)| json!({name: {"terms": {"field": field, "missing_bucket": true}}});
        let sources = [source("workload", &self.workload), source("client", &self.customer)];
        let mut composite = json!({"size": GROUPS, "sources": sources});
        let mut listings: BTreeMap<String, WorkloadListing> = BTreeMap::new();
        let mut unreadable = 0;
        loop {
            let answer = self.client.ask(self.page(&composite)).await?;
            let found = &answer["aggregations"]["groups"];
            for group in found["buckets"].as_array().into_iter().flatten() {
                let unsure = |key: &str, (_, all): &(String, bool)| !all && group["key"][key].is_null();
                if unsure("workload", &self.workload) || unsure("client", &self.customer) {
                    return Ok(None);
                }
                match group["key"]["workload"].as_str().filter(|workload| !workload.trim().is_empty()) {
                    Some(workload) => self.add(listings.entry(workload.to_owned()).or_default(), group),
                    None => unreadable += group["doc_count"].as_u64().unwrap_or_default(),
                }
            }
            match found.get("after_key") {
                Some(after) if !after.is_null() => composite["after"] = after.clone(),
                _ => break,
            }
        }
        let workloads =
            listings.into_iter().map(|(workload, listing)| WorkloadListing { workload, ..listing }).collect();
        Ok(Some(StoreListing { workloads, unreadable, server: Some(self.index.server.to_string()) }))
    }

    fn page(&self, composite: &Value) -> Call {
        let body = json!({
            "size": 0,
            "track_total_hits": false,
            "query": mapping::all_of(self.index.parts.clone()),
            "aggs": {"groups": {"composite": composite, "aggs": {
                "first": {"min": {"field": self.time}},
                "last": {"max": {"field": self.time}},
                "without": {"missing": {"field": self.time}},
            }}},
        });
        Call::new(Method::Post, self.client.index_path("/_search"))
            .with("allow_partial_search_results", "false")
            .json(&body)
    }

    fn add(&self, listing: &mut WorkloadListing, group: &Value) {
        let time = |key: &str| group[key]["value"].as_f64().map(|value| (value as i64).div_euclid(self.unit));
        // A record without a timestamp counts as one of 1970-01-01T00:00:00Z.
        let without = (group["without"]["doc_count"].as_u64() > Some(0)).then_some(0);
        let times = || [time("first"), time("last"), without].into_iter().flatten();
        let (first, last) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
        if listing.records == 0 {
            (listing.first, listing.last) = (first, last);
        }
        let records = group["doc_count"].as_u64().unwrap_or_default();
        listing.records += records;
        listing.first = listing.first.min(first);
        listing.last = listing.last.max(last);
        let client = group["key"]["client"].as_str().unwrap_or_default();
        match listing.clients.iter_mut().find(|(name, _)| name == client) {
            Some((_, count)) => *count += records,
            None => listing.clients.push((client.to_owned(), records)),
        }
    }
}

fn scanned(
    mut pages: Pages,
    fields: &Fields,
    labels: &LabelReader,
    filter: &Filter,
    reading: impl Fn() -> String,
) -> anyhow::Result<StoreListing> {
    let mut tally = ListingTally::default();
    let server = Some(pages.server.clone());
    let mut reshaper = Reshaper::new(fields);
    let records: Box<dyn Read> = match fields.are_own() {
        true => Box::new(&mut pages),
        false => Box::new(Reshaped::new(&mut pages, &mut reshaper)),
    };
    let mut lines = Lines::new(records, 0);
    let read = loop {
        match lines.next() {
            Ok(Some(line)) => tally.take(line.text, filter, labels),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(lines);
    match (read, pages.take_error()) {
        (_, Some(error)) => Err(anyhow::Error::new(error).context(reading())),
        (read, None) => read.with_context(reading).map(|()| StoreListing { server, ..tally.finish() }),
    }
}
