//! The model that judges tool calls: where it is, what it is asked about each row, and whether it answers
//! (docs/nemo-api.md, LLM judge).

use reqwest::{Method, Url};
use serde_json::json;

use super::secret::Secret;
use super::transport::{ApiError, ApiRequest, Destination, ErrorKind, RequestBody, Transport, read_json};

/// The metric of the judge.
pub const JUDGE_METRIC: &str = "correctness";

/// The score of that metric: 1 for calls that do what was asked, otherwise 0.
pub const JUDGE_SCORE: &str = "rating";

/// The end of a URL that takes chat requests.
const CHAT: &str = "/chat/completions";

/// The instructions to the judge.
pub(super) const INSTRUCTIONS: &str = "You check function calls. For one request you see the conversation, the calls that are known to be \
right, and the calls that another assistant made for it.\n\
Rate the calls that were made:\n\
1 - they do what the right calls do: the same functions, with arguments that mean the same. The order of calls and of \
arguments does not matter, nor do wording and letter case where a person would read the same thing into them.\n\
0 - anything else: another function, a call too many or too few, an argument missing, added or different, arguments that \
are not valid JSON, or no call at all. Identifiers, symbols, numbers and dates have to be the same.\n\
Give your reason in one or two sentences, then end with a line of its own, which is RATING: 1 or RATING: 0.";

/// The template of the message with the calls of one row. It avoids `tojson`, which would make the evaluator read the
/// whole text as JSON.
pub(super) const QUESTION: &str = "CONVERSATION\n{{ item.request.messages }}\n\n\
RIGHT CALLS\n{{ item.response.choices[0].message.tool_calls }}\n\n\
CALLS THAT WERE MADE\n{{ sample.response.choices[0].message.tool_calls | default([], true) }}";

/// Matches the last rating of a reply, but not `0.5`, `10` or `1/2`. It also matches all text before the rating, because
/// an evaluator may want the match at the beginning.
pub(super) const RATING_PATTERN: &str = r"(?is).*RATING:[\s*]*([01])(?:[^\d.,/]|[.,](?:\D|$)|$)";

/// A model that judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JudgeModel {
    /// A model that the platform serves, by its id.
    Served(String),
    /// A model behind an endpoint of its own.
    Remote(RemoteJudge),
}

/// A judge behind an endpoint of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteJudge {
    /// The URL that takes chat requests, or its base.
    pub url: String,
    pub model: String,
    /// The key, sent as bearer token.
    pub key: Option<Secret>,
}

impl JudgeModel {
    /// Hides the key of this judge in a text.
    pub fn without_key(&self, text: &str) -> String {
        match self {
            JudgeModel::Remote(judge) => judge.without_key(text),
            JudgeModel::Served(_) => text.to_owned(),
        }
    }
}

impl RemoteJudge {
    /// Returns the URL that takes chat requests. The configuration may give it or its base.
    pub(super) fn chat_url(&self) -> String {
        let base = self.url.trim_end_matches('/');
        if base.ends_with(CHAT) { base.to_owned() } else { format!("{base}{CHAT}") }
    }

    fn without_key(&self, text: &str) -> String {
        match self.key.as_ref().map(Secret::reveal) {
            Some(key) if !key.is_empty() => text.replace(key, "***"),
            _ => text.to_owned(),
        }
    }
}

/// Sends a short request to a judge, to check that it answers, knows the model and accepts the key.
pub(super) async fn probe(transport: &Transport, judge: &RemoteJudge) -> Result<(), ApiError> {
    let shown = judge.chat_url();
    let url = Url::parse(&shown)
        .map_err(|_| ApiError::new(format!("POST {shown}"), ErrorKind::Options("not a URL".to_owned()), None))?;
    let body = RequestBody::Json(json!({ "model": judge.model, "messages": [{ "role": "user", "content": "hi" }] }));
    let request = ApiRequest::link(Method::POST, Destination::Foreign(url, judge.key.clone()), body);
    let sent = transport.send(request).await;
    let response = sent.map_err(|error| error.rewritten(&|text| judge.without_key(text)))?;
    match read_json::list(&response.json()?, &["choices"]).is_empty() {
        true => Err(response.unreadable("no chat completion")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rating(reply: &str) -> Option<String> {
        let pattern = regex::Regex::new(RATING_PATTERN).unwrap();
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
    fn a_base_and_a_chat_url_are_the_same() {
        for url in ["https://h/v1", "https://h/v1/", "https://h/v1/chat/completions", "https://h/v1/chat/completions/"]
        {
            let judge = RemoteJudge { url: url.to_owned(), model: "m".into(), key: None };
            assert_eq!(judge.chat_url(), "https://h/v1/chat/completions");
        }
    }
}
