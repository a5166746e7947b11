//! Deleting records from an index, which is left to the user.

use serde_json::json;

use super::client::SearchClient;
use super::inspect::inspect;
use super::mapping;
use super::runtime::BackgroundRuntime;
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;

/// Returns the shell line that deletes the records which `filter` selects, or none if the server cannot tell them from
/// others.
pub(crate) fn delete_command(
    at: &IndexAt,
    credentials: &Credentials,
    filter: &Filter,
) -> anyhow::Result<Option<String>> {
    let (client, wanted) = (SearchClient::new(at, credentials)?, filter.clone());
    let index = BackgroundRuntime::start()?.block_on(async move { inspect(&client, &wanted).await })?;
    if !index.exact {
        return Ok(None);
    }
    let body = json!({"query": mapping::all_of(index.parts)}).to_string().replace('\'', r"'\''");
    Ok(Some(format!(
        "curl -X POST '{at}/_delete_by_query?refresh=true' -H 'content-type: application/json' -d '{body}'"
    )))
}
