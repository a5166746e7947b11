//! A real search server: sends requests to it directly, and runs the binary with it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};

use serde_json::Value;

use crate::harness::{Dfwfd, Folder, request};

/// A server and the index of one test.
#[derive(Clone)]
pub(crate) struct Server {
    pub name: String,
    pub url: String,
    pub index: String,
    /// Product and version.
    pub product: String,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn at(url: &str) -> Server {
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        assert!(!url.starts_with("https://"), "the tests speak plain HTTP: {url}");
        let address = host.to_socket_addrs().unwrap().next().unwrap_or_else(|| panic!("no address of {url}"));
        let url = url.trim_end_matches('/').to_owned();
        let (_, answer) = raw(address, "GET", "/_nodes/_local?filter_path=nodes.*.version", "");
        let elastic = answer.to_lowercase().contains("x-elastic-product: elasticsearch");
        let version = answer.split("\"version\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let product = format!("{} {version}", if elastic { "Elasticsearch" } else { "OpenSearch" });
        let name = product.replace(' ', "-").to_lowercase();
        Server { name, url, index: String::new(), product, address }
    }

    /// Returns the server with the index of one test, which does not exist yet.
    pub(crate) fn for_test(&self, name: &str) -> Server {
        let index = format!("dfwfd-{}-{name}", std::process::id());
        let server = Server { index, ..self.clone() };
        server.forget();
        server
    }

    /// Deletes the index.
    pub(crate) fn forget(&self) {
        request(self.address, "DELETE", &format!("/{}", self.index), None);
    }

    /// Creates the index with these mappings.
    pub(crate) fn create(&self, mappings: &Value) {
        let (status, answer) = self.ask("PUT", "", Some(&serde_json::json!({"mappings": mappings})));
        assert_eq!(status, 200, "{answer}");
    }

    /// Writes documents with their numbers as ids, as another program would.
    pub(crate) fn put(&self, documents: &[Value]) {
        let mut body = String::new();
        for (number, document) in documents.iter().enumerate() {
            body.push_str(&format!("{{\"index\":{{\"_id\":\"{number}\"}}}}\n{document}\n"));
        }
        let (status, answer) = raw(self.address, "POST", &format!("/{}/_bulk?refresh=true", self.index), &body);
        assert_eq!((status, answer.contains("\"errors\":false")), (200, true), "{answer}");
    }

    /// Sends a request below the index. Returns the status and the JSON of the response.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let text = body.map(Value::to_string).unwrap_or_default();
        let (status, answer) = raw(self.address, method, &format!("/{}{path}", self.index), &text);
        (status, json_of(&answer))
    }

    /// Counts the documents in the index.
    pub(crate) fn count(&self) -> u64 {
        self.ask("POST", "/_refresh", None);
        self.ask("GET", "/_count", None).1["count"].as_u64().unwrap()
    }

    /// Counts the documents in the index, or returns 0 if there is no index.
    pub(crate) fn count_if_there(&self) -> u64 {
        self.ask("POST", "/_refresh", None);
        self.ask("GET", "/_count", None).1["count"].as_u64().unwrap_or_default()
    }

    /// Writes a document byte for byte.
    pub(crate) fn put_raw(&self, number: usize, text: &str) {
        let (status, answer) = raw(self.address, "PUT", &format!("/{}/_doc/{number}", self.index), text);
        assert_eq!(status, 201, "{answer}");
    }

    /// Counts the open search contexts.
    pub(crate) fn contexts(&self) -> u64 {
        let path = "/_nodes/stats/indices/search?filter_path=nodes.*.indices.search.open_contexts";
        let (_, answer) = raw(self.address, "GET", path, "");
        let answer = json_of(&answer);
        let nodes = answer["nodes"].as_object().unwrap();
        nodes.values().map(|node| node["indices"]["search"]["open_contexts"].as_u64().unwrap()).sum()
    }

    /// Prepares the binary to run in this folder with the index.
    pub(crate) fn dfwfd(&self, folder: &Folder, arguments: &[&str]) -> Dfwfd {
        folder.dfwfd(arguments).env("ELASTICSEARCH_URL", &self.url).env("ES_COLLECTION_NAME", &self.index)
    }
}

/// Reads the object in a response, even if it is sent in chunks.
fn json_of(answer: &str) -> Value {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let object = body.find('{').zip(body.rfind('}')).map(|(start, end)| &body[start..=end]);
    object.and_then(|object| serde_json::from_str(object).ok()).unwrap_or_default()
}

/// Sends a request. Returns the status and the whole response with its head.
fn raw(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{method} {path} HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default(), answer)
}
