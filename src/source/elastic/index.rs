//! What has to be known of an index before its records are read or counted: which server has it, whether all of it is
//! there, what its mapping and some of its documents tell, and the filter in its terms.

use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::client::{Call, Client, Server};
use super::error::ElasticError;
use super::mapping::Mapping;
use super::sample::Sample;
use super::window::{self, Units};
use crate::data::options::Filter;

/// How long an index may take to come up.
const PATIENCE: &str = "8s";

/// What is known of an index.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// Which server has it.
    pub(crate) server: Server,
    /// Its mapping.
    pub(crate) mapping: Mapping,
    /// How documents that match write their times.
    pub(crate) units: Units,
    /// The parts of the query that the server can decide.
    pub(crate) parts: Vec<Value>,
    /// Whether the server lets exactly those records pass that the filter does.
    pub(crate) exact: bool,
    /// Some documents that match.
    pub(crate) sample: Sample,
}

/// Looks at the index and translates the filter.
pub(crate) async fn look(client: &Client, filter: &Filter) -> Result<Index, ElasticError> {
    let server = client.server().await?;
    tracing::info!("the log store is {}", named(client, &server));
    let mapping = mapping_of(client, &server).await?.with(&client.fields);
    if let Some(why) = mapping.unreadable() {
        return Err(ElasticError::Mapping { index: client.index.clone(), why });
    }
    health(client, &server).await?;
    let (mut parts, mut exact) = mapping.by_name(filter);
    let kind = mapping.time_kind();
    let sample = Sample::take(client, &mapping, kind, &parts).await?;
    let unclear = |why: String| ElasticError::Unclear { index: client.index.clone(), why };
    if let Some(why) = sample.nowhere(client, &mapping).await? {
        return Err(unclear(why));
    }
    let field = mapping.path("timestamp").to_owned();
    let mut units = Units::default();
    if let Some(kind) = kind {
        let why = |why: String| unclear(format!("in its field {field}, {why}"));
        units = Units::measure(kind, sample.times.iter().map(|(stored, sorted)| (stored, sorted))).map_err(why)?;
    }
    if filter.since.is_some() || filter.until.is_some() {
        let malformed = kind.is_some() && is_any(client, &window::ignored(&field)).await?;
        let window = kind.and_then(|kind| units.window(kind, &field, filter, malformed));
        exact &= window.is_some() && units.only().is_some() && !malformed;
        parts.extend(window);
    }
    Ok(Index { server, mapping, units, parts, exact, sample })
}

/// The mapping of the index.
pub(crate) async fn mapping_of(client: &Client, server: &Server) -> Result<Mapping, ElasticError> {
    let answer = client.ask(Call::new(Method::Get, client.index_path("/_mapping"))).await;
    let answer = answer.map_err(|error| match error.is_no_index() {
        true => ElasticError::NoIndex { index: client.index.clone(), server: named(client, server) },
        false => error,
    })?;
    Ok(Mapping::read(&answer))
}

/// Refuses an index of which the server has lost a part. Who may not ask is not told and goes on.
pub(crate) async fn health(client: &Client, server: &Server) -> Result<(), ElasticError> {
    let call = || {
        let path = format!("/_cluster/health/{}", client.index);
        Call::new(Method::Get, path).with("filter_path", "status,*_shards").once()
    };
    let answer = match client.ask(call()).await {
        Ok(answer) if answer["status"] == "red" => answer,
        Ok(_) => return Ok(()),
        Err(error @ (ElasticError::Refused { .. } | ElasticError::Answer { .. })) => {
            tracing::debug!(%error, "asking for the health of the index");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    // It may be on its way up. A server that has waited in vain says so with an error.
    let later = client.ask(call().with("wait_for_status", "yellow").with("timeout", PATIENCE)).await;
    if later.is_ok_and(|later| later["status"] != "red") {
        return Ok(());
    }
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let why =
        format!("with {} of its shards there and {} missing", number("active_shards"), number("unassigned_shards"));
    Err(ElasticError::Unhealthy { index: client.index.clone(), server: named(client, server), why })
}

fn named(client: &Client, server: &Server) -> String {
    format!("{server} at {}", client.base())
}

/// Whether a document matches.
pub(crate) async fn is_any(client: &Client, query: &Value) -> Result<bool, ElasticError> {
    let body = json!({"size": 0, "query": query, "track_total_hits": 1, "terminate_after": 1});
    let found = client.ask(Call::new(Method::Post, client.index_path("/_search")).json(&body)).await?;
    Ok(found["hits"]["total"]["value"].as_u64().unwrap_or_default() > 0)
}
