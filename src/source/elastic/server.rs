//! The product and version of a server.

use std::fmt;

use elasticsearch::http::Method;

use super::client::{SearchClient, not_a_search_server};
use super::error::ElasticError;
use super::request::ServerRequest;

/// A server's product and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) product: Product,
    /// Such as `9.2.0`. Empty when the server does not say.
    pub(crate) version: String,
}

/// The two products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Elasticsearch,
    OpenSearch,
}

impl Server {
    /// Asks a server for its product and version. Falls back to its node, because some clusters forbid `GET /` and some
    /// builds lack it.
    pub(crate) async fn identify(client: &SearchClient) -> Result<Server, ElasticError> {
        let first = ServerRequest::new(Method::Get, "/").first();
        let name = client.describe(&first);
        match client.send(first).await {
            Ok(response) => {
                let json = response.json(&name)?;
                let Some(version) = json["version"]["number"].as_str() else {
                    return Err(not_a_search_server(name, &response.body));
                };
                let is_open = json["version"]["distribution"] == "opensearch";
                let product = if is_open { Product::OpenSearch } else { Product::Elasticsearch };
                Ok(Server { product, version: version.to_owned() })
            }
            Err(
                error @ (ElasticError::Unreachable { .. }
                | ElasticError::Late { .. }
                | ElasticError::Untrusted { .. }
                | ElasticError::Foreign { .. }),
            ) => Err(error),
            Err(error) => Server::identify_by_node(client).await.map_err(|second| match second {
                ElasticError::Refused { .. } => second,
                _ => error,
            }),
        }
    }

    async fn identify_by_node(client: &SearchClient) -> Result<Server, ElasticError> {
        let request = ServerRequest::new(Method::Get, "/_nodes/_local").with("filter_path", "nodes.*.version").first();
        let name = client.describe(&request);
        let response = client.send(request).await?;
        let json = response.json(&name)?;
        let node = json["nodes"].as_object().and_then(|nodes| nodes.values().next());
        let version = node.and_then(|node| node["version"].as_str()).unwrap_or_default().to_owned();
        let product = if response.is_elastic { Product::Elasticsearch } else { Product::OpenSearch };
        Ok(Server { product, version })
    }

    /// Returns the first number of the version, or 0 when it is unknown.
    pub(crate) fn major(&self) -> u32 {
        self.number(0)
    }

    /// Returns the second number of the version, or 0 when it is unknown.
    pub(crate) fn minor(&self) -> u32 {
        self.number(1)
    }

    fn number(&self, position: usize) -> u32 {
        self.version.split('.').nth(position).and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = match self.product {
            Product::Elasticsearch => "Elasticsearch",
            Product::OpenSearch => "OpenSearch",
        };
        if self.version.is_empty() { f.write_str(product) } else { write!(f, "{product} {}", self.version) }
    }
}
