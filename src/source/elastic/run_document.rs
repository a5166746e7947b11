//! The index of runs: one document for each, under the id of its run.

use std::time::Duration;

use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::client::SearchClient;
use super::error::ElasticError;
use super::request::ServerRequest;
use super::runtime::BackgroundRuntime;
use crate::data::options::IndexAt;
use crate::source::credentials::Credentials;

/// Writes the document of a run within this time. One that is there already is replaced. Creates the index if it does not
/// exist.
pub(crate) fn write(
    at: &IndexAt,
    credentials: &Credentials,
    run: &str,
    document: &Value,
    limit: Duration,
) -> Result<(), ElasticError> {
    let client = SearchClient::new(at, credentials)?;
    let path = client.index_path(&format!("/_doc/{run}"));
    let put = ServerRequest::new(Method::Put, path).with("filter_path", "result").json(document);
    let late = ElasticError::Late { request: client.describe(&put), after: limit, times: 1, raisable: false };
    BackgroundRuntime::start()?.block_on(async move {
        let work = async {
            prepare_index(&client).await?;
            client.send(put).await.map(drop)
        };
        tokio::time::timeout(limit, work).await.unwrap_or(Err(late))
    })
}

async fn prepare_index(client: &SearchClient) -> Result<(), ElasticError> {
    match client.send(ServerRequest::new(Method::Get, client.index_path("/_mapping"))).await {
        Err(error) if error.is_no_index() => {}
        found => return found.map(drop),
    }
    let create = ServerRequest::new(Method::Put, client.index_path("")).json(&definition());
    match client.send(create).await {
        // Another run may have created the index at the same time.
        Err(error) if !error.is_existing_index() => Err(error),
        _ => Ok(()),
    }
}

/// Returns the request body that creates the index. Scores have names of their own, so their fields are added as they come.
fn definition() -> Value {
    let numbers = json!({"match_mapping_type": "long", "mapping": {"type": "double"}});
    let words = json!({"match_mapping_type": "string", "mapping": {"type": "keyword", "ignore_above": 1024}});
    json!({"mappings": {
        "date_detection": false,
        // The first score of a name may be a whole number, and must not make the field one of whole numbers.
        "dynamic_templates": [{"numbers": numbers}, {"words": words}],
        "properties": {
            "started_at": {"type": "date"},
            "ended_at": {"type": "date"},
            // Every evaluation, to be read and not searched.
            "candidates": {"type": "object", "enabled": false},
        },
    }})
}
