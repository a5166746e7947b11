//! The stand-in for a judge of tool calls: where a conversation asks to rate one list of calls against another, the two are
//! compared by rule. Owns recognising such a prompt, reading calls as Python or JSON writes them, and the comparison; it
//! judges nothing else, and nothing that takes understanding.

use serde_json::{Map, Value};

use super::Message;

/// What a prompt has to ask for: the answer is given in this form.
const ASKED_FOR: &str = "rating";

/// Values nested deeper than this are not read.
const DEEPEST: usize = 64;

/// A longer prompt is not read.
const LONGEST: usize = 1 << 20;

/// The verdict on tool calls, when that is what a conversation asks for: its last message shows two lists of calls, the
/// right ones before those to judge, and somewhere a rating is asked for. `RATING: 1` when the same functions are called
/// with the same arguments, else `RATING: 0`, and why. In arguments case, surrounding white space, members that are null,
/// the order of members, and whether a number is written as text are no difference.
pub fn verdict(messages: &[Message]) -> Option<String> {
    let asked = messages.iter().rev().find(|message| message.role == "user")?;
    let lists = lists(&asked.content);
    let [.., right, made] = lists.as_slice() else { return None };
    let rates = |message: &Message| message.content.to_lowercase().contains(ASKED_FOR);
    if right.is_empty() || !messages.iter().any(rates) {
        return None;
    }
    let (rating, why) = compare(right, made);
    Some(format!("RATING: {rating}\nEXPLANATION: {why}"))
}

/// One call: the function, and its arguments in a form in which equal ones are the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    name: String,
    arguments: String,
}

fn compare(right: &[Call], made: &[Call]) -> (u8, String) {
    if made.is_empty() {
        return (0, "no function is called".to_owned());
    }
    let sorted = |calls: &[Call]| {
        let mut calls = calls.to_vec();
        calls.sort();
        calls
    };
    let (right, made) = (sorted(right), sorted(made));
    if !right.iter().map(|call| &call.name).eq(made.iter().map(|call| &call.name)) {
        return (0, "other functions are called".to_owned());
    }
    match right.iter().zip(&made).find(|(right, made)| right != made) {
        Some((right, _)) => (0, format!("{} is called with other arguments", right.name)),
        None => (1, "the same functions are called with the same arguments".to_owned()),
    }
}

/// The lists of calls in a text, in order; `None` and `null` outside of any value count as empty ones.
fn lists(text: &str) -> Vec<Vec<Call>> {
    let mut found = Vec::new();
    if text.len() > LONGEST {
        return found;
    }
    let mut at = 0;
    while let Some(next) = text[at..].find(['[', 'N', 'n']) {
        at += next;
        let rest = &text[at..];
        if rest.starts_with('[') {
            let mut reader = Reader { text: rest, at: 0 };
            if let Some(Value::Array(items)) = reader.value(0) {
                found.extend(calls(&items));
                at += reader.at;
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

/// A list as calls, when all its items are.
fn calls(items: &[Value]) -> Option<Vec<Call>> {
    let call = |item: &Value| {
        let function = item.get("function")?;
        let name = function.get("name")?.as_str()?.to_owned();
        Some(Call { name, arguments: canonical(&arguments(function.get("arguments"))) })
    };
    items.iter().map(call).collect()
}

/// The arguments of a call, which may be text that holds them; text that does not stays text.
fn arguments(given: Option<&Value>) -> Value {
    match given {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| given.cloned().unwrap_or_default()),
        Some(other) => other.clone(),
    }
}

/// The same text for values that are no different to this judge.
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

/// Reads a value as JSON or as Python shows it.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        match self.peek()? {
            '[' => self.items('[', ']', depth).map(Value::Array),
            '(' => self.items('(', ')', depth).map(Value::Array),
            '{' => self.members(depth).map(Value::Object),
            '\'' | '"' => self.string().map(Value::String),
            letter if letter.is_ascii_alphabetic() => self.word(),
            _ => self.number(),
        }
    }

    /// The next letter that is no white space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, letter: char) -> bool {
        let found = self.peek() == Some(letter);
        self.at += if found { letter.len_utf8() } else { 0 };
        found
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        let mut more = self.take(open);
        loop {
            if self.take(close) {
                return Some(items);
            }
            if !more {
                return None;
            }
            items.push(self.value(depth + 1)?);
            more = self.take(',');
        }
    }

    fn members(&mut self, depth: usize) -> Option<Map<String, Value>> {
        let mut members = Map::new();
        let mut more = self.take('{');
        loop {
            if self.take('}') {
                return Some(members);
            }
            if !more || !matches!(self.peek()?, '\'' | '"') {
                return None;
            }
            let key = self.string()?;
            if !self.take(':') {
                return None;
            }
            members.insert(key, self.value(depth + 1)?);
            more = self.take(',');
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut letters = self.text[self.at..].char_indices();
        let (_, quote) = letters.next()?;
        let (mut text, mut high) = (String::new(), None);
        loop {
            let (place, letter) = letters.next()?;
            if letter == quote {
                self.at += place + quote.len_utf8();
                return high.is_none().then_some(text);
            }
            if letter != '\\' {
                if high.is_some() {
                    return None;
                }
                text.push(letter);
                continue;
            }
            let (_, escaped) = letters.next()?;
            let mut code = |digits: usize| {
                let digits: Option<String> = (0..digits).map(|_| letters.next().map(|(_, letter)| letter)).collect();
                u32::from_str_radix(&digits?, 16).ok()
            };
            let code = match escaped {
                'n' => 0x0a,
                't' => 0x09,
                'r' => 0x0d,
                'b' => 0x08,
                'f' => 0x0c,
                'x' => code(2)?,
                'u' => code(4)?,
                'U' => code(8)?,
                other => u32::from(other),
            };
            // JSON writes what is beyond four digits as a pair.
            match (high.take(), code) {
                (None, 0xd800..=0xdbff) => high = Some(code),
                (Some(high), 0xdc00..=0xdfff) => {
                    text.push(char::from_u32(0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00))?);
                }
                (None, code) => text.push(char::from_u32(code)?),
                (Some(_), _) => return None,
            }
        }
    }

    fn word(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let value = match &rest[..end] {
            "None" | "null" => Value::Null,
            "True" | "true" => Value::Bool(true),
            "False" | "false" => Value::Bool(false),
            _ => return None,
        };
        self.at += end;
        Some(value)
    }

    fn number(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let end = rest.find(|letter: char| !matches!(letter, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let number: &str = &rest[..end.unwrap_or(rest.len())];
        let value = serde_json::from_str(number).ok()?;
        self.at += number.len();
        Some(value)
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
        verdict(&[Message::new("system", system), Message::new("user", user)])
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
        assert_eq!(verdict(std::slice::from_ref(&user)), None, "nobody asks for a rating");
        assert_eq!(verdict(&[]), None);
        let deep = "[".repeat(5_000);
        assert_eq!(ask(&deep, &deep), None);
    }

    fn texts() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[ -~\\n\\t\u{e9}\u{1f680}]{0,12}").unwrap()
    }

    proptest! {
        #[test]
        fn what_json_writes_is_read(name in texts(), text in texts(), number in any::<i32>()) {
            let number = f64::from(number) / 8.0;
            let value = serde_json::json!([{"function": {"name": name, "arguments": {"a": text, "b": [number, null, true]}}}]);
            let json = value.to_string();
            let mut reader = Reader { text: &json, at: 0 };
            prop_assert_eq!(reader.value(0), Some(value));
            prop_assert_eq!(reader.at, json.len());
        }

        #[test]
        fn no_text_is_too_odd(text in "[\\[\\]{}()'\",:NnTtuUx0-9a-f\\\\ ]{0,60}") {
            let _ = ask(&text, &text);
        }
    }
}
