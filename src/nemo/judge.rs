//! The model that judges tool calls or texts: where it is, what it is asked about each row, and whether it answers
//! (docs/nemo-api.md, LLM judge).

use reqwest::{Method, Url};
use serde_json::json;

use super::secret::Secret;
use super::transport::{ApiError, ApiRequest, Destination, ErrorKind, RequestBody, Transport, read_json};

/// The metric of the judge.
pub(crate) const JUDGE_METRIC: &str = "correctness";

/// The score of that metric: 1 for calls that do what was asked, otherwise 0; for texts 0 to [`MOST_ALIKE`].
pub(crate) const JUDGE_SCORE: &str = "rating";

/// The end of a URL that takes chat requests.
const CHAT: &str = "/chat/completions";

/// The instructions to the judge of calls.
const INSTRUCTIONS: &str = "You check function calls. For one request you see the conversation, the calls that are known to be \
right, and the calls that another assistant made for it.\n\
Rate the calls that were made:\n\
1 - they do what the right calls do: the same functions, with arguments that mean the same. The order of calls and of \
arguments does not matter, nor do wording and letter case where a person would read the same thing into them.\n\
0 - anything else: another function, a call too many or too few, an argument missing, added or different, arguments that \
are not valid JSON, or no call at all. Identifiers, symbols, numbers and dates have to be the same.\n\
Give your reason in one or two sentences, then end with a line of its own, which is RATING: 1 or RATING: 0.";

/// The template of the message with the calls of one row. It avoids `tojson`, which would make the evaluator read the
/// whole text as JSON.
const QUESTION: &str = "CONVERSATION\n{{ item.request.messages }}\n\n\
RIGHT CALLS\n{{ item.response.choices[0].message.tool_calls }}\n\n\
CALLS THAT WERE MADE\n{{ sample.response.choices[0].message.tool_calls | default([], true) }}";

/// Matches the last rating of a reply, but not `0.5`, `10` or `1/2`, and none in a thought: what it skips is all up to
/// the end of a thought, and then no beginning of another. It also matches all text before the rating, because an
/// evaluator may want the match at the beginning.
macro_rules! rating_pattern {
    ($rating:literal) => {
        concat!(
            r"(?is)^(?:.*</think>)?",
            r"(?:[^<]|<+(?:[^<t]|t[^h<]|th[^i<]|thi[^n<]|thin[^k<]))*",
            r"RATING:[\s*]*",
            $rating,
            r"(?:[^\d.,/]|[.,](?:\D|$)|$)",
        )
    };
}

/// Matches the rating of calls.
const RATING_PATTERN: &str = rating_pattern!("([01])");

/// The best rating of a text.
pub(crate) const MOST_ALIKE: f64 = 10.0;

/// The instructions to the judge of texts.
const TEXT_INSTRUCTIONS: &str = "You compare replies. For one request you see the conversation, a reply that is known to be good, and \
another reply.\n\
Rate from 0 to 10 how well the other reply says what the good one says:\n\
10 - it says the same. Wording, order and style do not matter.\n\
5 - it says about half of it, or adds as much that the good one does not say.\n\
0 - it says nothing of it, contradicts it, or is empty.\n\
Numbers, names and dates have to be the same. Give your reason in one or two sentences, then end with a line of its own, which is \
RATING: and a whole number from 0 to 10.";

/// The template of the message with the texts of one row.
const TEXT_QUESTION: &str = "CONVERSATION\n{{ item.request.messages }}\n\n\
GOOD REPLY\n{{ item.response.choices[0].message.content }}\n\n\
OTHER REPLY\n{{ sample.output_text }}";

/// Tells a judge what to rate in a row, and how its rating is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct JudgeTask {
    pub(super) instructions: &'static str,
    /// The template of version 1.
    pub(super) question: &'static str,
    pub(super) pattern: &'static str,
    /// The best rating. The worst is 0.
    pub(super) best: f64,
}

/// The task of a judge of calls.
pub(super) const OF_CALLS: JudgeTask =
    JudgeTask { instructions: INSTRUCTIONS, question: QUESTION, pattern: RATING_PATTERN, best: 1.0 };

/// The task of a judge of texts.
pub(super) const OF_TEXTS: JudgeTask = JudgeTask {
    instructions: TEXT_INSTRUCTIONS,
    question: TEXT_QUESTION,
    pattern: rating_pattern!("(10|[0-9])"),
    best: MOST_ALIKE,
};

/// A model that judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JudgeModel {
    /// A model that the platform serves, by its id.
    Served(String),
    /// A model behind an endpoint of its own.
    Remote(RemoteModel),
}

/// A chat model behind an endpoint of its own: a judge, or the production model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteModel {
    /// The URL that takes chat requests, or its base.
    pub url: String,
    pub model: String,
    /// The key, sent as bearer token.
    pub key: Option<Secret>,
}

impl RemoteModel {
    /// Returns the URL that takes chat requests. The configuration may give it or its base.
    pub(super) fn chat_url(&self) -> String {
        let base = self.url.trim_end_matches('/');
        if base.ends_with(CHAT) { base.to_owned() } else { format!("{base}{CHAT}") }
    }
}

/// Sends a short request to a judge, to check that it answers, knows the model and accepts the key.
pub(super) async fn probe(transport: &Transport, judge: &RemoteModel) -> Result<(), ApiError> {
    let shown = judge.chat_url();
    let url = Url::parse(&shown)
        .map_err(|_| ApiError::new(format!("POST {shown}"), ErrorKind::Options("not a URL".to_owned()), None))?;
    let body = RequestBody::Json(json!({ "model": judge.model, "messages": [{ "role": "user", "content": "hi" }] }));
    let request = ApiRequest::link(Method::POST, Destination::Foreign(url, judge.key.clone()), body);
    let response = transport.send(request).await?;
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
            ("<think>Is it RATING: 0 or RATING: 1?</think>\nBoth agree.\nRATING: 1", Some("1")),
            ("<think>RATING: 1</think> I cannot tell", None),
            ("<think>I would say RATING: 1", None),
            ("RATING: 0, or <THINK>RATING: 1", Some("0")),
            ("a < b, <t> and <th: RATING: 1", Some("1")),
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
    fn texts_are_rated_from_0_to_10() {
        let pattern = regex::Regex::new(OF_TEXTS.pattern).unwrap();
        for (reply, expected) in
            [("RATING: 10", Some("10")), ("RATING: 7.", Some("7")), ("RATING: 11", None), ("RATING: 7.5", None)]
        {
            assert_eq!(pattern.captures(reply).map(|found| found[1].to_owned()).as_deref(), expected, "{reply}");
        }
    }

    #[test]
    fn a_base_and_a_chat_url_are_the_same() {
        for url in ["https://h/v1", "https://h/v1/", "https://h/v1/chat/completions", "https://h/v1/chat/completions/"]
        {
            let judge = RemoteModel { url: url.to_owned(), model: "m".into(), key: None };
            assert_eq!(judge.chat_url(), "https://h/v1/chat/completions");
        }
    }
}
