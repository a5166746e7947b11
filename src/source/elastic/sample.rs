//! A sample of the documents of an index: the times of some, and the size of whole ones. Documents may be large, so whole
//! ones are fetched one at a time.

use bytes::Bytes;
use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::client::SearchClient;
use super::error::ElasticError;
use super::mapping::{self, Mapping, value_at};
use super::page::ResultPage;
use super::request::ServerRequest;
use super::window::{self, TimeKind};

/// The documents whose times are fetched.
const TIMES: usize = 20;
/// The most documents whose size is measured.
const MAX_MEASURED: usize = 8;
/// The bytes after which no other document is measured.
const ENOUGH_BYTES: usize = 4 << 20;

/// Some matching documents.
#[derive(Clone, Debug, Default)]
pub(crate) struct DocumentSample {
    /// The stored timestamp of each document, and the value by which the server sorts it.
    pub(crate) times: Vec<(Value, Value)>,
    /// The ids without repetition, oldest and newest in turn.
    ids: Vec<String>,
}

impl DocumentSample {
    /// Fetches the oldest and the newest matching documents, or any if times have no order. Skips times of 0, which tell
    /// nothing, if there are others.
    pub(crate) async fn fetch(
        client: &SearchClient,
        mapping: &Mapping,
        kind: Option<TimeKind>,
        parts: &[Value],
    ) -> Result<DocumentSample, ElasticError> {
        let field = mapping.path("timestamp");
        let search = async |size: usize, parts: Vec<Value>, order: Option<&str>| {
            let mut body = json!({"size": size, "query": mapping::all_of(parts), "_source": [field]});
            if let Some(order) = order {
                body["sort"] = json!([{field: {"order": order, "missing": "_last"}}]);
            }
            let found =
                client.send_json(ServerRequest::new(Method::Post, client.index_path("/_search")).json(&body)).await?;
            Ok::<Vec<Value>, ElasticError>(found["hits"]["hits"].as_array().cloned().unwrap_or_default())
        };
        let Some(kind) = kind else {
            return Ok(DocumentSample::from_hits(field, &search(TIMES, parts.to_vec(), None).await?, &[]));
        };
        let mut later = parts.to_vec();
        later.push(window::after_1970(kind, field));
        let oldest = search(TIMES / 2, later, Some("asc")).await?;
        let newest = search(TIMES / 2, parts.to_vec(), Some("desc")).await?;
        Ok(DocumentSample::from_hits(field, &oldest, &newest))
    }

    fn from_hits(field: &str, oldest: &[Value], newest: &[Value]) -> DocumentSample {
        let time =
            |hit: &Value| (value_at(&hit["_source"], field).cloned().unwrap_or_default(), hit["sort"][0].clone());
        let mut sample = DocumentSample { times: oldest.iter().chain(newest).map(time).collect(), ids: Vec::new() };
        for place in 0..oldest.len().max(newest.len()) {
            for hit in [oldest.get(place), newest.get(place)].into_iter().flatten() {
                if let Some(id) = hit["_id"].as_str().filter(|id| !sample.ids.iter().any(|known| known == id)) {
                    sample.ids.push(id.to_owned());
                }
            }
        }
        sample
    }

    /// Describes a field of `logs.fields` that neither the mapping nor any sampled document has, if there is one.
    pub(crate) async fn missing_field(
        &self,
        client: &SearchClient,
        mapping: &Mapping,
    ) -> Result<Option<String>, ElasticError> {
        let mapped = client.fields.all().into_iter().filter_map(|(name, path)| Some((name, path?)));
        let mut lost: Vec<(&str, &str)> = mapped.filter(|(_, path)| !mapping.has(path)).collect();
        for id in &self.ids {
            if lost.is_empty() {
                break;
            }
            let paths: Vec<&str> = lost.iter().map(|(_, path)| *path).collect();
            let body = fetch_document(client, id, &paths).await?;
            let document: Value = source(&body).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            lost.retain(|(_, path)| value_at(&document, path).is_none());
        }
        let looked = self.ids.len();
        let first = lost.first().filter(|_| looked > 0);
        Ok(first.map(|(name, path)| {
            format!("neither its mapping nor any of {looked} documents has the field {path} (logs.fields.{name})")
        }))
    }

    /// Returns the average bytes of a document as pages hold it, or none if no document matches.
    pub(crate) async fn average_bytes(&self, client: &SearchClient) -> Result<Option<usize>, ElasticError> {
        let documents = self.documents(client).await?;
        Ok(documents.iter().map(String::len).sum::<usize>().checked_div(documents.len()))
    }

    /// Returns some documents as pages hold them.
    pub(crate) async fn documents(&self, client: &SearchClient) -> Result<Vec<String>, ElasticError> {
        let wanted = mapping::source_fields(&client.fields);
        let mut documents: Vec<String> = Vec::new();
        for id in self.ids.iter().take(MAX_MEASURED) {
            // The document may have been deleted in the meantime.
            documents.extend(source(&fetch_document(client, id, &wanted).await?).map(str::to_owned));
            if documents.iter().map(String::len).sum::<usize>() >= ENOUGH_BYTES {
                break;
            }
        }
        Ok(documents)
    }
}

/// Fetches one document, or some parts of it. Searches for its id, because its path also needs the routing value.
async fn fetch_document(client: &SearchClient, id: &str, wanted: &[impl AsRef<str>]) -> Result<Bytes, ElasticError> {
    let mut body = json!({"size": 1, "query": {"ids": {"values": [id]}}});
    if !wanted.is_empty() {
        body["_source"] = wanted.iter().map(AsRef::as_ref).collect();
    }
    let request = ServerRequest::new(Method::Post, client.index_path("/_search")).json(&body);
    client.send(request).await.map(|response| response.body)
}

fn source(body: &[u8]) -> Option<&str> {
    let page: ResultPage<'_> = serde_json::from_slice(body).ok()?;
    page.hits.hits.first()?.source.map(serde_json::value::RawValue::get)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use tokio_util::sync::CancellationToken;

    use super::super::fake::FakeServer;
    use super::super::inspect::{inspect, looked_at};
    use super::super::reader::IndexReader;
    use super::super::runtime::BackgroundRuntime;
    use super::*;
    use crate::data::options::{Fields, Filter};
    use crate::source::credentials::Credentials;

    const MEGABYTE: usize = 1 << 20;

    /// A fake with this many documents of about so many bytes.
    fn fake(version: &str, distribution: Option<&str>, documents: usize, bytes: usize) -> FakeServer {
        let fake = FakeServer::new(version, distribution);
        let document = |number: usize| json!({"timestamp": 1_700_000_000 + number, "ask": "x".repeat(bytes)});
        fake.state().sampled = (0..documents).map(document).collect();
        fake
    }

    /// The bodies of the searches for a single document.
    fn fetched(fake: &FakeServer) -> Vec<Value> {
        let state = fake.state();
        let bodies = state.requests.iter().filter_map(|(_, _, body)| serde_json::from_str::<Value>(body).ok());
        bodies.filter(|body| body["query"]["ids"].is_object()).collect()
    }

    #[test]
    fn large_documents_are_weighed_one_by_one_and_their_times_are_known() {
        for (bytes, weighed) in [(MEGABYTE, 4), (9 * MEGABYTE, 1), (100, MAX_MEASURED)] {
            let fake = fake("9.2.0", None, TIMES, bytes);
            let client = fake.client(&Credentials::None);
            let looked = BackgroundRuntime::start().unwrap().block_on(async move {
                let index = inspect(&client, &Filter::default()).await?;
                let average = index.sample.average_bytes(&client).await?;
                Ok((index, average))
            });
            let (index, average) = looked.unwrap();
            assert_eq!(index.units.only(), Some(1000));
            let average = average.unwrap();
            assert!((bytes..bytes + 100).contains(&average), "{average}");
            assert_eq!(fetched(&fake).len(), weighed);
            assert!(fake.state().largest < bytes + 4000, "{}", fake.state().largest);
        }
    }

    #[test]
    fn the_first_page_is_as_large_as_documents_allow_on_every_server() {
        for (version, distribution) in [("9.2.0", None), ("3.4.0", Some("opensearch")), ("2.19.1", Some("opensearch"))]
        {
            let fake = fake(version, distribution, 3, MEGABYTE);
            fake.state().documents = vec![("d".to_owned(), 1)];
            let client = fake.client(&Credentials::None);
            let mut pages =
                IndexReader::with_client(client, &Filter::default(), 1, None, &CancellationToken::new()).unwrap();
            pages.read_to_end(&mut Vec::new()).unwrap();
            let state = fake.state();
            let sizes = state.requests.iter().filter_map(|(_, _, body)| serde_json::from_str::<Value>(body).ok());
            let sizes: Vec<i64> = sizes.filter_map(|body| body["size"].as_i64()).collect();
            assert_eq!(sizes, [10, 10, 1, 1, 1, 3], "{version}: a page of 4 MB after three documents");
        }
    }

    #[test]
    fn fields_that_the_mapping_lacks_are_looked_for_in_one_document_after_the_other() {
        let looked = |request: &str, first_without: usize| {
            let fake = fake("9.2.0", None, TIMES, MEGABYTE);
            for document in &mut fake.state().sampled[..first_without] {
                document.as_object_mut().unwrap().remove("ask");
            }
            let mut client = fake.client(&Credentials::None);
            let text = |text: &str| Some(text.to_owned());
            client.fields = Fields { request: text(request), workload_id: text("workload_id"), ..Fields::default() };
            let index =
                BackgroundRuntime::start().unwrap().block_on(async move { inspect(&client, &Filter::default()).await });
            assert!(fake.state().largest < MEGABYTE + 4000);
            let bodies = fetched(&fake);
            assert!(bodies.iter().all(|body| body["_source"] == json!([request])), "{bodies:?}");
            (index.map(drop), bodies.len())
        };
        assert!(matches!(looked("ask", 0), (Ok(()), 1)));
        assert!(matches!(looked("ask", 3), (Ok(()), 4)));
        // The fake knows no order, so that the oldest are the newest.
        let (error, searches) = looked("asks", 0);
        let said = error.unwrap_err().to_string();
        assert!(
            said.contains("field asks (logs.fields.request)") && said.contains("any of 10 documents") && searches == 10,
            "{said}"
        );
    }

    #[test]
    fn documents_are_looked_at_for_personal_data() {
        let found = |text: &str| {
            let fake = fake("9.2.0", None, 0, 0);
            fake.state().sampled =
                vec![json!({"timestamp": 1_700_000_000, "request": {"messages": [{"content": text}]}})];
            let client = fake.client(&Credentials::None);
            let look = async move { looked_at(&client, &Filter::default(), true).await };
            let looked = BackgroundRuntime::start().unwrap().block_on(look).unwrap();
            assert!(looked.words.contains("index "), "{}", looked.words);
            looked.personal
        };
        assert_eq!(found("mail ann@example.org").as_deref(), Some("1 of its documents look personal (email 1)"));
        assert_eq!(found("mail nobody"), None);
    }

    #[test]
    fn documents_that_are_gone_when_they_are_weighed_do_no_harm() {
        let fake = fake("9.2.0", None, 3, 100);
        let client = fake.client(&Credentials::None);
        let gone = DocumentSample { ids: vec!["another".to_owned(), "s1".to_owned()], ..DocumentSample::default() };
        let (of_one, of_none) = BackgroundRuntime::start()
            .unwrap()
            .block_on(async move {
                Ok((gone.average_bytes(&client).await?, DocumentSample::default().average_bytes(&client).await?))
            })
            .unwrap();
        assert!(of_one.is_some_and(|bytes| (100..200).contains(&bytes)), "{of_one:?}");
        assert_eq!(of_none, None);
    }
}
