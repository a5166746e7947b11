//! Lists the records of an index: the server counts them where its mapping allows, otherwise every record is read.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use elasticsearch::http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::SearchClient;
use super::error::ElasticError;
use super::inspect::{IndexInfo, inspect, matches_any};
use super::mapping;
use super::reader::IndexReader;
use super::request::ServerRequest;
use super::runtime::BackgroundRuntime;
use super::window;
use crate::data::forms::reshape::Reshaper;
use crate::data::label::LabelReader;
use crate::data::options::{Fields, Filter, IndexAt};
use crate::source::credentials::Credentials;
use crate::source::input::reshaped::reshaped;
use crate::source::lines::Lines;
use crate::source::listing::{ListingTally, StoreListing, WorkloadListing};

/// The groups in one response.
const PAGE_GROUPS: usize = 1000;

/// Counts the records that `filter` selects. Counts labels only if it has to read every record.
pub(crate) fn count_records(
    at: &IndexAt,
    credentials: &Credentials,
    labels: &LabelReader,
    filter: &Filter,
    cancel: &CancellationToken,
) -> anyhow::Result<StoreListing> {
    let reading = || format!("cannot list the records of {at}");
    let client = SearchClient::new(at, credentials).with_context(reading)?;
    match count_on_server(&client, filter).with_context(reading)? {
        Some(listing) => Ok(listing),
        None => {
            let records = IndexReader::open(at, credentials, filter, cancel).with_context(reading)?;
            count_by_reading(records, &at.fields, labels, filter, reading)
        }
    }
}

/// Lets the server count. Returns none if it cannot, or cannot tell each record's names.
fn count_on_server(client: &SearchClient, filter: &Filter) -> Result<Option<StoreListing>, ElasticError> {
    let (client, filter) = (Arc::new(client.clone()), filter.clone());
    BackgroundRuntime::start()?.block_on(async move {
        let index = inspect(&client, &filter).await?;
        let fields = (index.mapping.grouping_field("workload_id"), index.mapping.grouping_field("client_id"));
        let kind = index.mapping.time_kind().filter(|_| index.exact);
        let ((Some(workload), Some(record_client)), Some(unit), Some(_)) = (fields, index.units.only(), kind) else {
            return Ok(None);
        };
        // The server would count a time that it could not read as no time.
        let time = index.mapping.path("timestamp").to_owned();
        let mut parts = index.parts.clone();
        parts.push(window::ignored(&time));
        if matches_any(&client, &mapping::all_of(parts)).await? {
            return Ok(None);
        }
        GroupCounts { client: &client, index: &index, workload, record_client, time, unit }.count().await
    })
}

/// Counts of records by workload and client.
struct GroupCounts<'a> {
    client: &'a SearchClient,
    index: &'a IndexInfo,
    /// The field, and true if it holds every name. A field may not index names that are too long.
    workload: (String, bool),
    /// The field of the record's client, in the same form.
    record_client: (String, bool),
    time: String,
    unit: i64,
}

impl GroupCounts<'_> {
    /// Requests all groups, page by page. Each count is exact. Returns none if the index may lack the names of some records.
    async fn count(&self) -> Result<Option<StoreListing>, ElasticError> {
        let source = |name: &str, (field, _): &(String, bool)| json!({name: {"terms": {"field": field, "missing_bucket": true}}});
        let sources = [source("workload", &self.workload), source("client", &self.record_client)];
        let mut composite = json!({"size": PAGE_GROUPS, "sources": sources});
        let mut listings: BTreeMap<String, WorkloadListing> = BTreeMap::new();
        let mut unreadable = 0;
        loop {
            let response = self.client.send_json(self.page_request(&composite)).await?;
            let found = &response["aggregations"]["groups"];
            for group in found["buckets"].as_array().into_iter().flatten() {
                let unsure = |key: &str, (_, all): &(String, bool)| !all && group["key"][key].is_null();
                if unsure("workload", &self.workload) || unsure("client", &self.record_client) {
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

    fn page_request(&self, composite: &Value) -> ServerRequest {
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
        ServerRequest::new(Method::Post, self.client.index_path("/_search"))
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

/// Reads and counts every record.
fn count_by_reading(
    mut reader: IndexReader,
    fields: &Fields,
    labels: &LabelReader,
    filter: &Filter,
    reading: impl Fn() -> String,
) -> anyhow::Result<StoreListing> {
    let mut tally = ListingTally::default();
    let server = Some(reader.server.clone());
    let mut reshaper = Reshaper::new(fields);
    let records: Box<dyn Read> = match fields.are_own() {
        true => Box::new(&mut reader),
        false => Box::new(reshaped(&mut reader, &mut reshaper)),
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
    match (read, reader.take_error()) {
        (_, Some(error)) => Err(anyhow::Error::new(error).context(reading())),
        (read, None) => read.with_context(reading).map(|()| StoreListing { server, ..tally.finish() }),
    }
}
