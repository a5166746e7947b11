//! A model that judges tool calls for the Evaluator (nemo-wire 6.4.3): where it is, what it is asked about each row, and
//! whether it answers at all.

use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::body::Body;
use super::call::{Call, To};
use super::client::{Client, Secret};
use super::error::{ApiError, ErrorKind};
use super::read;

/// The metric of the judge, by which its ratings are found.
pub const JUDGE_METRIC: &str = "correctness";

/// The score of that metric: 1 for calls that do what was asked, else 0.
pub const JUDGE_SCORE: &str = "rating";

/// The end of the address that takes chat requests.
const CHAT: &str = "/chat/completions";

/// A judge's ratings should be the same the next time. Some services refuse exactly 0.
const TEMPERATURE: f64 = 0.01;

/// What a judge is told.
const TASK: &str = "You check function calls. For one request you see the conversation, the calls that are known to be \
right, and the calls that another assistant made for it.\n\
Rate the calls that were made:\n\
1 - they do what the right calls do: the same functions, with arguments that mean the same. The order of calls and of \
arguments does not matter, nor do wording and letter case where a person would read the same thing into them.\n\
0 - anything else: another function, a call too many or too few, an argument missing, added or different, arguments that \
are not valid JSON, or no call at all. Identifiers, symbols, numbers and dates have to be the same.\n\
Give your reason in one or two sentences, then end with a line of its own, which is RATING: 1 or RATING: 0.";

/// What it is shown of each row. Without `tojson`, which would make the evaluator read the whole text as JSON.
const SHOWN: &str = "CONVERSATION\n{{ item.request.messages }}\n\n\
RIGHT CALLS\n{{ item.response.choices[0].message.tool_calls }}\n\n\
CALLS THAT WERE MADE\n{{ sample.response.choices[0].message.tool_calls | default([], true) }}";

/// The last rating of a reply. What precedes it is part of the pattern, so that it makes no difference whether the
/// evaluator searches for a pattern or wants it at the beginning. `0.5`, `10` and `1/2` are no ratings.
const PATTERN: &str = r"(?is).*RATING:[\s*]*([01])(?:[^\d.,/]|[.,](?:\D|$)|$)";

/// A model that judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judge {
    /// One that the NIM proxy serves, by its id.
    Served(String),
    /// One behind an endpoint of its own, which the Evaluator calls.
    Remote(RemoteJudge),
}

/// A judge behind an endpoint of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteJudge {
    /// The address that takes chat requests, or the base that it is below.
    pub url: String,
    /// The model that is asked there.
    pub model: String,
    /// Sent as bearer token.
    pub key: Option<Secret>,
}

impl Judge {
    /// The metric that asks this judge.
    pub(crate) fn metric(&self) -> Value {
        let model = match self {
            Judge::Served(id) => json!(id),
            Judge::Remote(remote) => {
                let mut endpoint = Map::from_iter([
                    ("url".to_owned(), json!(chat_url(&remote.url))),
                    ("model_id".to_owned(), json!(remote.model)),
                ]);
                endpoint.extend(remote.key.as_ref().map(|key| ("api_key".to_owned(), json!(key.reveal()))));
                json!({ "api_endpoint": endpoint })
            }
        };
        let messages = json!([{ "role": "system", "content": TASK }, { "role": "user", "content": SHOWN }]);
        let score = json!({ "type": "int", "parser": { "type": "regex", "pattern": PATTERN } });
        json!({
            "type": "llm-judge",
            "params": {
                "model": model,
                "template": { "messages": messages, "temperature": TEMPERATURE },
                "scores": { JUDGE_SCORE: score },
            },
        })
    }

    /// A text without the key of this judge, whoever has put it there.
    pub fn without_key(&self, text: &str) -> String {
        match self {
            Judge::Remote(RemoteJudge { key: Some(key), .. }) if !key.reveal().is_empty() => {
                text.replace(key.reveal(), "***")
            }
            _ => text.to_owned(),
        }
    }
}

/// The address that takes chat requests, of that address or of the base that it is below.
fn chat_url(url: &str) -> String {
    let base = url.trim_end_matches('/');
    if base.ends_with(CHAT) { base.to_owned() } else { format!("{base}{CHAT}") }
}

impl Client {
    /// Asks a judge something short, to know that it is there, knows the model and takes the key.
    pub async fn probe_judge(&self, judge: &RemoteJudge) -> Result<(), ApiError> {
        let shown = chat_url(&judge.url);
        let url = Url::parse(&shown).map_err(|_| {
            ApiError::new(format!("POST {shown}"), ErrorKind::Options("the URL cannot be used".to_owned()), None)
        })?;
        let body = json!({ "model": judge.model, "messages": [{ "role": "user", "content": "hi" }] });
        let to = To::Foreign(url, judge.key.clone());
        let answer = self.send(Call::link(Method::POST, to, Body::Json(body))).await;
        let answer = answer.map_err(|error| error.without(&|text| Judge::Remote(judge.clone()).without_key(text)))?;
        match read::list(&answer.json()?, &["choices"]).is_empty() {
            true => Err(answer.unreadable("no chat completion")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rating(reply: &str) -> Option<String> {
        let pattern = regex::Regex::new(PATTERN).unwrap();
        pattern.captures(reply).map(|found| found[1].to_owned())
    }

    #[test]
    fn the_last_rating_counts_and_only_0_and_1_are_ratings() {
        for (reply, expected) in [
            ("RATING: 1", Some("1")),
            ("They agree.\nRATING: 1\n", Some("1")),
            ("**Rating:** 0.", Some("0")),
            ("RATING: **1**", Some("1")),
            ("It is RATING: 1 if right.\nIt is not.\nRATING: 0", Some("0")),
            ("<think>RATING: 0?</think> RATING: 1, for both agree", Some("1")),
            ("RATING: 0\nEXPLANATION: other functions are called", Some("0")),
            ("RATING: 10", None),
            ("RATING: 0.5", None),
            ("RATING: 1/2", None),
            ("RATING: 7", None),
            ("RATING: yes", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(rating(reply).as_deref(), expected, "{reply}");
        }
    }

    #[test]
    fn a_base_and_a_chat_address_are_the_same() {
        for url in ["https://h/v1", "https://h/v1/", "https://h/v1/chat/completions", "https://h/v1/chat/completions/"]
        {
            assert_eq!(chat_url(url), "https://h/v1/chat/completions");
        }
    }

    #[test]
    fn a_key_is_sent_and_never_shown() {
        let remote = RemoteJudge { url: "https://h/v1".into(), model: "m".into(), key: Some(Secret::new("s3cr3t")) };
        let judge = Judge::Remote(remote.clone());
        let endpoint = &judge.metric()["params"]["model"]["api_endpoint"];
        assert_eq!(*endpoint, json!({"url": "https://h/v1/chat/completions", "model_id": "m", "api_key": "s3cr3t"}));
        assert!(!format!("{judge:?}").contains("s3cr3t"));
        assert_eq!(judge.without_key("said s3cr3t twice: s3cr3t"), "said *** twice: ***");
        let open = Judge::Remote(RemoteJudge { key: None, ..remote });
        assert_eq!(open.without_key("said nothing"), "said nothing");
        assert!(open.metric()["params"]["model"]["api_endpoint"].get("api_key").is_none());
        assert_eq!(Judge::Served("ns/m".into()).metric()["params"]["model"], "ns/m");
    }
}
