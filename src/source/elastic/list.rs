//! What an index holds: counted by the server where its mapping allows, else by reading every record.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::Arc;

use anyhow::Context;
use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::error::ElasticError;
use super::halt::Halt;
use super::mapping;
use super::read::{Index, Pages, look};
use super::thread::Thread;
use crate::data::label::LabelReader;
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;
use crate::source::lines::Lines;
use crate::source::local::{Contents, Listing, Tally};

/// Groups in one answer.
const GROUPS: usize = 1000;

/// Counts the records that `filter` lets pass. Labels are counted only where every record has to be read.
pub(crate) fn list(
    at: &IndexAt,
    credentials: &Credentials,
    labels: &LabelReader,
    filter: &Filter,
    halt: &Halt,
) -> anyhow::Result<Contents> {
    let reading = || format!("listing the records of {at}");
    let client = Client::new(at, credentials).with_context(reading)?;
    match counted(&client, filter).with_context(reading)? {
        Some(contents) => Ok(contents),
        None => scanned(Pages::open(at, credentials, filter, halt).with_context(reading)?, labels, filter, reading),
    }
}

/// The call that deletes the records which `filter` lets pass, as a shell line; `None` when the server cannot tell them.
pub(crate) fn deletion(at: &IndexAt, credentials: &Credentials, filter: &Filter) -> anyhow::Result<Option<String>> {
    let (client, wanted) = (Client::new(at, credentials)?, filter.clone());
    let index = Thread::start()?.run(async move { look(&client, &wanted).await })?;
    if !index.decides(filter) {
        return Ok(None);
    }
    let body = json!({"query": mapping::all_of(index.parts)}).to_string().replace('\'', r"'\''");
    Ok(Some(format!(
        "curl -X POST '{at}/_delete_by_query?refresh=true' -H 'content-type: application/json' -d '{body}'"
    )))
}

/// `None` where the server cannot count.
pub(super) fn counted(client: &Client, filter: &Filter) -> Result<Option<Contents>, ElasticError> {
    let (client, filter) = (Arc::new(client.clone()), filter.clone());
    Thread::start()?.run(async move {
        let index = look(&client, &filter).await?;
        let fields = (index.mapping.grouped("workload_id"), index.mapping.grouped("client_id"));
        let ((Some(workload), Some(customer)), true) = (fields, index.decides(&filter)) else { return Ok(None) };
        groups(&client, &index, &workload, &customer).await.map(Some)
    })
}

async fn groups(client: &Client, index: &Index, workload: &str, customer: &str) -> Result<Contents, ElasticError> {
    let unit = index.factors.first().copied().unwrap_or(1);
    let source = |name: &str, field: &str| json!({name: {"terms": {"field": field, "missing_bucket": true}}});
    let mut composite = json!({"size": GROUPS, "sources": [source("workload", workload), source("client", customer)]});
    let mut listings: BTreeMap<String, Listing> = BTreeMap::new();
    let mut unreadable = 0;
    loop {
        let body = json!({
            "size": 0,
            "track_total_hits": false,
            "query": mapping::all_of(index.parts.clone()),
            "aggs": {"groups": {"composite": composite, "aggs": {
                "first": {"min": {"field": "timestamp"}},
                "last": {"max": {"field": "timestamp"}},
            }}},
        });
        let call = Call::new(Method::Post, client.index_path("/_search")).with("allow_partial_search_results", "false");
        let answer = client.ask(call.json(&body)).await?;
        let found = &answer["aggregations"]["groups"];
        for group in found["buckets"].as_array().into_iter().flatten() {
            let records = group["doc_count"].as_u64().unwrap_or_default();
            let Some(workload) = group["key"]["workload"].as_str() else {
                unreadable += records;
                continue;
            };
            let time = |key: &str| group[key]["value"].as_f64().map_or(0, |value| (value as i64).div_euclid(unit));
            add(listings.entry(workload.to_owned()).or_default(), group, records, (time("first"), time("last")));
        }
        match found.get("after_key") {
            Some(after) if !after.is_null() => composite["after"] = after.clone(),
            _ => break,
        }
    }
    let workloads = listings.into_iter().map(|(workload, listing)| Listing { workload, ..listing }).collect();
    Ok(Contents { workloads, unreadable })
}

fn add(listing: &mut Listing, group: &Value, records: u64, (first, last): (i64, i64)) {
    if listing.records == 0 {
        (listing.first, listing.last) = (first, last);
    }
    listing.records += records;
    listing.first = listing.first.min(first);
    listing.last = listing.last.max(last);
    let client = group["key"]["client"].as_str().unwrap_or_default();
    match listing.clients.iter_mut().find(|(name, _)| name == client) {
        Some((_, count)) => *count += records,
        None => listing.clients.push((client.to_owned(), records)),
    }
}

fn scanned(
    mut pages: Pages,
    labels: &LabelReader,
    filter: &Filter,
    reading: impl Fn() -> String,
) -> anyhow::Result<Contents> {
    let mut tally = Tally::default();
    let mut bytes = Vec::new();
    let mut lines = Lines::new(BufReader::with_capacity(1 << 18, &mut pages), 0);
    let read = loop {
        match lines.next(&mut bytes) {
            Ok(Some(_)) => tally.take(&bytes, filter, labels),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    match (read, pages.take_error()) {
        (_, Some(error)) => Err(anyhow::Error::new(error).context(reading())),
        (read, None) => read.with_context(reading).map(|()| tally.finish()),
    }
}
