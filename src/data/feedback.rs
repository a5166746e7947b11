//! Ratings of an answer by people: the key `feedback` of a record, in its common forms.

use serde_json::Value;

use crate::data::origin::Origin;

/// The words for a good answer, in lower case.
const GOOD: [&str; 8] = ["positive", "good", "up", "thumbs_up", "thumbs-up", "like", "liked", "correct"];
/// The words for a bad answer.
const BAD: [&str; 9] =
    ["negative", "bad", "down", "thumbs_down", "thumbs-down", "dislike", "disliked", "incorrect", "wrong"];
/// The keys of an object that hold its rating.
const RATINGS: [&str; 4] = ["rating", "score", "value", "feedback"];

/// A record that a person rated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RatedRecord {
    /// Key of its messages and tools.
    pub(crate) request: u128,
    /// Whole epoch seconds.
    pub(crate) timestamp: i64,
    pub(crate) origin: Origin,
    pub(crate) is_good: bool,
}

/// Returns true for a good answer and false for a bad one. `None` if the JSON does not say so plainly, such as stars.
pub(crate) fn rating(json: &str) -> Option<bool> {
    rating_of(&serde_json::from_str(json).ok()?)
}

fn rating_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(is_good) => Some(*is_good),
        Value::Number(number) => match number.as_f64()? {
            1.0 => Some(true),
            0.0 | -1.0 => Some(false),
            _ => None,
        },
        Value::String(word) => {
            let word = word.trim().to_lowercase();
            GOOD.contains(&word.as_str()).then_some(true).or_else(|| BAD.contains(&word.as_str()).then_some(false))
        }
        Value::Object(object) => RATINGS.iter().find_map(|key| rating_of(object.get(*key)?)),
        Value::Null | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::rating;

    #[test]
    fn plain_ratings_are_read_and_others_are_none() {
        for (json, wanted) in [
            ("true", Some(true)),
            ("false", Some(false)),
            ("1", Some(true)),
            ("1.0", Some(true)),
            ("0", Some(false)),
            ("-1", Some(false)),
            ("\"Positive\"", Some(true)),
            ("\" thumbs_down\"", Some(false)),
            ("{\"rating\": false, \"score\": 1}", Some(false)),
            ("{\"feedback\": {\"value\": \"up\"}}", Some(true)),
            ("3", None),
            ("0.7", None),
            ("\"fine\"", None),
            ("null", None),
            ("[true]", None),
            ("{\"comment\": \"bad\"}", None),
        ] {
            assert_eq!(rating(json), wanted, "{json}");
        }
    }
}
