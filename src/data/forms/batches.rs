//! Batches of OpenAI: the requests stand in one file, answers and errors in others. Joins them by `custom_id`, in whatever
//! order the files come. Checks nothing else.

use std::collections::{HashMap, HashSet};

use crate::data::json::edit::members;
use crate::data::json::members::write_object;
use crate::data::reject::Reject;

/// The file and line of something, both as numbers.
type Place = (usize, u64);

/// The lines of batches.
#[derive(Debug, Default)]
pub(crate) struct Batches(Vec<BatchLine>);

#[derive(Debug)]
struct BatchLine {
    at: Place,
    line: Vec<u8>,
    /// The `custom_id` as JSON. Lines of another form have none.
    id: Option<String>,
    body: Option<String>,
}

/// An answer with its request, or a line that has no counterpart.
#[derive(Debug)]
pub(crate) struct JoinedLine {
    pub(crate) at: Place,
    pub(crate) line: Vec<u8>,
    /// The JSON of the record.
    pub(crate) record: Result<Vec<u8>, Reject>,
}

impl Batches {
    /// Adds a line.
    pub(crate) fn push(&mut self, at: Place, line: &[u8]) {
        let object = std::str::from_utf8(line).ok().and_then(|text| members(text).ok());
        let of = |key| object.as_ref().and_then(|object| object.get(key).map(str::to_owned));
        self.0.push(BatchLine { at, line: line.to_vec(), id: of("custom_id"), body: of("body") });
    }

    /// Returns the answers and the requests without one, in the order of their lines.
    pub(crate) fn join(self) -> impl Iterator<Item = JoinedLine> {
        let answers = self.0.iter().filter(|line| line.body.is_none());
        let answered: HashSet<String> = answers.filter_map(|line| line.id.clone()).collect();
        // `None` stands for different requests.
        let mut requests: HashMap<String, Option<String>> = HashMap::new();
        for line in &self.0 {
            if let (Some(id), Some(body)) = (&line.id, &line.body) {
                let known = requests.entry(id.clone()).or_insert_with(|| Some(body.clone()));
                known.take_if(|known| known != body);
            }
        }
        let is_open =
            move |line: &BatchLine| line.body.is_none() || line.id.as_ref().is_none_or(|id| !answered.contains(id));
        self.0.into_iter().filter(is_open).map(move |line| {
            let request = match (&line.body, line.id.as_ref().and_then(|id| requests.get(id))) {
                (Some(body), _) | (None, Some(Some(body))) => Ok(Some(body.as_str())),
                (None, Some(None)) => Err(Reject::AmbiguousRequest),
                (None, None) => Ok(None),
            };
            let record = request.map(|request| record_of(&line, request));
            JoinedLine { at: line.at, line: line.line, record }
        })
    }
}

/// Returns the JSON of the record of a line and its request. A line that is no object stays as it is.
fn record_of(line: &BatchLine, request: Option<&str>) -> Vec<u8> {
    let Some(object) = std::str::from_utf8(&line.line).ok().and_then(|text| members(text).ok()) else {
        return line.line.clone();
    };
    let answer = object.get("response").and_then(|answer| members(answer).ok());
    let body = answer.as_ref().and_then(|answer| answer.get("body"));
    let is_ok = answer.as_ref().is_some_and(|answer| answer.get("status_code").is_none_or(|status| status == "200"));
    let response = match (object.get("error"), body) {
        (Some(error), _) => Some(format!("{{\"error\":{error}}}")),
        (None, Some(body)) if is_ok => Some(body.to_owned()),
        (None, body) => answer.is_some().then(|| format!("{{\"error\":{}}}", body.unwrap_or("{}"))),
    };
    let inside = |json: Option<&str>, key| {
        json.and_then(|json| members(json).ok()).and_then(|object| object.get(key).map(str::to_owned))
    };
    let fields = [
        ("custom_id", line.id.clone()),
        ("timestamp", inside(response.as_deref(), "created")),
        ("client_id", inside(request, "user")),
        ("request", request.map(str::to_owned)),
        ("response", response),
    ];
    let fields = fields.iter().filter_map(|(key, value)| value.as_ref().map(|value| (*key, value.as_bytes())));
    let mut out = Vec::new();
    write_object(fields, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn joined(lines: &[Value]) -> Vec<(u64, Result<Value, Reject>)> {
        let mut batches = Batches::default();
        for (n, line) in lines.iter().enumerate() {
            batches.push((0, n as u64), line.to_string().as_bytes());
        }
        batches.join().map(|line| (line.at.1, line.record.map(|json| serde_json::from_slice(&json).unwrap()))).collect()
    }

    fn request(id: &str, text: &str) -> Value {
        json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": {"user": "desk", "messages": [text]}})
    }

    fn answer(id: &str, status: u64, body: Value) -> Value {
        json!({"id": "batch_req_1", "custom_id": id, "response": {"status_code": status, "body": body}, "error": null})
    }

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let body = json!({"created": 7, "choices": []});
        let want = json!({"custom_id": "a", "timestamp": 7, "client_id": "desk",
            "request": request("a", "A")["body"], "response": body});
        let (asked, answered) = (request("a", "A"), answer("a", 200, body));
        assert_eq!(joined(&[asked.clone(), answered.clone()]), [(1, Ok(want.clone()))]);
        assert_eq!(joined(&[answered.clone(), asked.clone(), asked]), [(0, Ok(want))]);
        assert_eq!(joined(&[answered])[0].1.as_ref().unwrap().get("request"), None);
    }

    #[test]
    fn a_request_without_an_answer_and_one_that_is_not_certain_are_told() {
        let found = joined(&[request("a", "A"), request("b", "B"), request("b", "C"), answer("b", 200, json!({}))]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].1.as_ref().unwrap().get("response"), None);
        assert_eq!(found[1], (3, Err(Reject::AmbiguousRequest)));
    }

    #[test]
    fn errors_are_failed_answers() {
        for line in [
            json!({"custom_id": "a", "response": null, "error": {"code": "batch_expired"}}),
            answer("a", 429, json!({"error": {"code": "rate_limit_exceeded"}})),
            answer("a", 500, Value::Null),
        ] {
            let found = joined(&[request("a", "A"), line.clone()]);
            assert!(found[0].1.as_ref().unwrap()["response"]["error"].is_object(), "{line}: {found:?}");
        }
        let mut batches = Batches::default();
        batches.push((3, 9), b"{\"custom_id\": torn");
        let torn = batches.join().next().unwrap();
        assert_eq!((torn.at, torn.record.unwrap()), ((3, 9), b"{\"custom_id\": torn".to_vec()));
    }
}
