//! Reads values as JSON or Python writes them.

use serde_json::{Map, Value};

/// The deepest nesting of values that is read.
const MAX_DEPTH: usize = 64;

/// Reads the value at the beginning of `text`, and returns it with its length in bytes.
pub(super) fn read_literal(text: &str) -> Option<(Value, usize)> {
    let mut reader = LiteralReader { text, at: 0 };
    let value = reader.value(0)?;
    Some((value, reader.at))
}

struct LiteralReader<'a> {
    text: &'a str,
    at: usize,
}

impl LiteralReader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
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

    /// Returns the next character that is no white space.
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
            // JSON writes characters beyond four digits as a surrogate pair.
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

    fn texts() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[ -~\\n\\t\u{e9}\u{1f680}]{0,12}").unwrap()
    }

    proptest! {
        #[test]
        fn what_json_writes_is_read(name in texts(), text in texts(), number in any::<i32>()) {
            let number = f64::from(number) / 8.0;
            let value = serde_json::json!([{"function": {"name": name, "arguments": {"a": text, "b": [number, null, true]}}}]);
            let json = value.to_string();
            prop_assert_eq!(read_literal(&json), Some((value, json.len())));
        }
    }
}
