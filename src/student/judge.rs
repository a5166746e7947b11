//! The stand-in for a judge of tool calls. Recognises a conversation that asks for a rating of one list of calls against
//! another, and compares the two by rule.

use serde_json::{Map, Value};

use super::conversation::Message;
use super::literal::read_literal;

/// The word by which a prompt asks for a rating.
const ASKED_FOR: &str = "rating";

/// The longest prompt that is read, in bytes.
const MAX_PROMPT: usize = 1 << 20;

/// Rates tool calls when a conversation asks for it: the user's last message shows two lists of calls, the expected ones
/// before those to rate, and some message asks for a rating. Answers `RATING: 1` for the same functions with the same
/// arguments and `RATING: 0` otherwise, with an explanation. Ignores differences in case, surrounding white space, null
/// members, order of members, and numbers written as text.
pub(crate) fn rate_tool_calls(messages: &[Message]) -> Option<String> {
    let asked = messages.iter().rev().find(|message| message.role == "user")?;
    let lists = call_lists(&asked.content);
    let [.., expected, made] = lists.as_slice() else { return None };
    let rates = |message: &Message| message.content.to_lowercase().contains(ASKED_FOR);
    if expected.is_empty() || !messages.iter().any(rates) {
        return None;
    }
    let (rating, why) = compare(expected, made);
    Some(format!("RATING: {rating}\nEXPLANATION: {why}"))
}

/// A call whose arguments are in canonical form, so that equal ones are the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RatedCall {
    name: String,
    arguments: String,
}

fn compare(expected: &[RatedCall], made: &[RatedCall]) -> (u8, String) {
    if made.is_empty() {
        return (0, "no function is called".to_owned());
    }
    let sorted = |calls: &[RatedCall]| {
        let mut calls = calls.to_vec();
        calls.sort();
        calls
    };
    let (expected, made) = (sorted(expected), sorted(made));
    if !expected.iter().map(|call| &call.name).eq(made.iter().map(|call| &call.name)) {
        return (0, "other functions are called".to_owned());
    }
    match expected.iter().zip(&made).find(|(expected, made)| expected != made) {
        Some((call, _)) => (0, format!("{} is called with other arguments", call.name)),
        None => (1, "the same functions are called with the same arguments".to_owned()),
    }
}

/// Finds the lists of calls in a text, in order. `None` and `null` outside of any value count as empty lists.
fn call_lists(text: &str) -> Vec<Vec<RatedCall>> {
    let mut found = Vec::new();
    if text.len() > MAX_PROMPT {
        return found;
    }
    let mut at = 0;
    while let Some(next) = text[at..].find(['[', 'N', 'n']) {
        at += next;
        let rest = &text[at..];
        if rest.starts_with('[') {
            if let Some((Value::Array(items), length)) = read_literal(rest) {
                found.extend(calls(&items));
                at += length;
            } else {
                at += 1;
            }
            continue;
        }
        let word = ["None", "null"].into_iter().find(|word| rest.starts_with(word));
        let inside = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        if let Some(word) = word
            && !inside(text[..at].chars().next_back())
            && !inside(rest[word.len()..].chars().next())
        {
            found.push(Vec::new());
        }
        at += word.map_or(1, str::len);
    }
    found
}

/// Reads a list as calls, if all its items are calls.
fn calls(items: &[Value]) -> Option<Vec<RatedCall>> {
    let call = |item: &Value| {
        let function = item.get("function")?;
        let name = function.get("name")?.as_str()?.to_owned();
        Some(RatedCall { name, arguments: canonical(&arguments(function.get("arguments"))) })
    };
    items.iter().map(call).collect()
}

/// Reads the arguments of a call, which may be JSON in a text. Other text stays text.
fn arguments(given: Option<&Value>) -> Value {
    match given {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| given.cloned().unwrap_or_default()),
        Some(other) => other.clone(),
    }
}

/// Writes a value so that values which this judge does not tell apart are the same text.
fn canonical(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        Value::String(text) => {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => number.to_string(),
                _ => format!("{text:?}"),
            }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, member)| !member.is_null());
            let mut members: Vec<String> =
                members.map(|(key, member)| format!("{key:?}:{}", canonical(member))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(right: &str, made: &str) -> Option<String> {
        let system = "Compare the calls and answer with RATING: 0 or RATING: 1.";
        let user =
            format!("Conversation: [{{'role': 'user', 'content': \"it's [1\"}}]\nRight: {right}\nMade: {made}\n");
        rate_tool_calls(&[Message::new("system", system), Message::new("user", user)])
    }

    fn rating(right: &str, made: &str) -> Option<bool> {
        ask(right, made).map(|verdict| verdict.starts_with("RATING: 1\n"))
    }

    const RIGHT: &str = "[{'id': 'c', 'type': 'function', 'function': {'name': 'alert', 'arguments': {'symbol': 'AB', 'price': 30.5}}}]";

    fn made(name: &str, arguments: &str) -> String {
        format!("[{{'id': None, 'function': {{'name': '{name}', 'arguments': {arguments}}}}}]")
    }

    #[test]
    fn the_same_call_is_right_however_it_is_written() {
        for arguments in [
            r#"'{"price": 30.50, "symbol": "AB"}'"#,
            r#""{\"symbol\": \" ab \", \"price\": \"30.5\", \"note\": null}""#,
            "{'price': 30.5, 'symbol': 'AB'}",
        ] {
            assert_eq!(rating(RIGHT, &made("alert", arguments)), Some(true), "{arguments}");
        }
        let json = r#"[{"function": {"name": "alert", "arguments": "{\"symbol\":\"AB\",\"price\":30.5}"}}]"#;
        assert_eq!(rating(RIGHT, json), Some(true));
        let two = |one: &str, other: &str| {
            format!("[{{'function': {{'name': '{one}'}}}}, {{'function': {{'name': '{other}', 'arguments': '{{}}'}}}}]")
        };
        assert_eq!(rating(&two("a", "b"), &two("b", "a")), Some(true));
    }

    #[test]
    fn another_call_is_wrong_and_why_is_said() {
        for (made, why) in [
            (made("quote", "{'symbol': 'AB', 'price': 30.5}"), "other functions are called"),
            (made("alert", "{'symbol': 'AB', 'price': 31}"), "alert is called with other arguments"),
            (made("alert", "'not json'"), "alert is called with other arguments"),
            ("[]".to_owned(), "no function is called"),
            ("None".to_owned(), "no function is called"),
        ] {
            assert_eq!(ask(RIGHT, &made), Some(format!("RATING: 0\nEXPLANATION: {why}")), "{made}");
        }
    }

    #[test]
    fn other_prompts_are_not_judged() {
        let call = made("alert", "{}");
        for (right, made) in
            [("[]", call.as_str()), ("None", "None"), ("[1, 2]", &call), ("nothing", &call), (&call, "")]
        {
            assert_eq!(ask(right, made), None, "{right} {made}");
        }
        let user = Message::new("user", format!("{call}\n{call}"));
        assert_eq!(rate_tool_calls(std::slice::from_ref(&user)), None, "nobody asks for a rating");
        assert_eq!(rate_tool_calls(&[]), None);
        let deep = "[".repeat(5_000);
        assert_eq!(ask(&deep, &deep), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[\\[\\]{}()'\",:NnTtuUx0-9a-f\\\\ ]{0,60}") {
            let _ = ask(&text, &text);
        }
    }
}
