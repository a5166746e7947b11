//! Values as in Python: how templates see them, print them, and convert them with `tojson` (docs/nemo-api.md,
//! Templates).

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};
use regex::Regex;

/// Returns a JSON value as templates see it.
pub(crate) fn wrapped(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from_object(List(items.iter().map(wrapped).collect())),
        Json::Object(members) => {
            Value::from_object(Dict(members.iter().map(|(key, member)| (key.clone(), wrapped(member))).collect()))
        }
    }
}

/// Prints a value as Python does.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| shown(value), str::to_owned)
}

/// Returns whether Python counts a letter as white space: as Unicode does, and four control characters more.
pub(crate) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// Makes templates print and convert values as Python does, and gives values their Python methods.
pub(crate) fn equip(jinja: &mut Environment<'_>) {
    jinja.set_formatter(print);
    jinja.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    jinja.add_filter("tojson", tojson);
    jinja.add_filter("string", |value: &Value| given(value));
    jinja.add_filter("upper", |value: &Value| given(value).map(|text| text.to_uppercase()));
    jinja.add_filter("lower", |value: &Value| given(value).map(|text| text.to_lowercase()));
    jinja.add_filter("trim", trim);
    jinja.add_filter("replace", replace);
    jinja.add_filter("join", join);
}

/// A list that prints as in Python.
#[derive(Debug)]
struct List(Vec<Value>);

/// A dictionary that prints as in Python and keeps the order of its members.
#[derive(Debug)]
struct Dict(Vec<(String, Value)>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_list(self.0.iter()))
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let wanted = key.as_str()?;
        self.0.iter().find(|(key, _)| key == wanted).map(|(_, member)| member.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(key, _)| Value::from(key.as_str())).collect())
    }

    /// A method call never finds a member of that name.
    fn call_method(self: &Arc<Self>, _: &State<'_, '_>, _: &str, _: &[Value]) -> Result<Value, Error> {
        Err(Error::from(ErrorKind::UnknownMethod))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_dict(self.0.iter().map(|(key, member)| (quoted(key), member.clone()))))
    }
}

fn print(out: &mut Output<'_>, _: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    out.write_str(&text(value)).map_err(Error::from)
}

/// Prints a value as Python does inside a list.
fn shown(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter().into_iter().flatten().collect();
            shown_list(items.iter())
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            shown_dict(keys.map(|key| (shown(&key), value.get_item(&key).unwrap_or_default())))
        }
        _ => value.to_string(),
    }
}

fn shown_list<'a>(items: impl Iterator<Item = &'a Value>) -> String {
    format!("[{}]", items.map(shown).collect::<Vec<_>>().join(", "))
}

fn shown_dict(members: impl Iterator<Item = (String, Value)>) -> String {
    let members = members.map(|(key, member)| format!("{key}: {}", shown(&member)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// Prints a number with the fewest digits, and with an exponent below -4 or above 15.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string().to_lowercase();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        -4..=15 => {
            let plain = number.to_string();
            if plain.contains('.') { plain } else { format!("{plain}.0") }
        }
        exponent => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

static UNPRINTABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}--\x20]").expect("the pattern is a constant and valid"));

/// Quotes a text as Python does: in single quotes, unless it contains only those.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter == quote => quoted.extend(['\\', letter]),
            ' '..='~' => quoted.push(letter),
            letter if UNPRINTABLE.is_match(letter.encode_utf8(&mut [0; 4])) => {
                quoted.push_str(&match u32::from(letter) {
                    code @ 0..=0xff => format!("\\x{code:02x}"),
                    code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                    code => format!("\\U{code:08x}"),
                })
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push(quote);
    quoted
}

/// Returns a value as text for a filter; an undefined one is an error.
fn given(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "an undefined value is no text"));
    }
    Ok(text(value))
}

fn trim(value: &Value, letters: Option<&str>) -> Result<String, Error> {
    let text = given(value)?;
    let trimmed = match letters {
        Some(letters) => text.trim_matches(|letter| letters.contains(letter)),
        None => text.trim_matches(is_space),
    };
    Ok(trimmed.to_owned())
}

fn replace(value: &Value, old: &Value, new: &Value, count: Option<usize>) -> Result<String, Error> {
    let (text, old, new) = (given(value)?, given(old)?, given(new)?);
    Ok(count.map_or_else(|| text.replace(&old, &new), |count| text.replacen(&old, &new, count)))
}

fn join(values: &Value, between: Option<&Value>, options: Kwargs) -> Result<String, Error> {
    let attribute: Option<String> = options.get("attribute")?;
    options.assert_all_used()?;
    let between = between.map(given).transpose()?.unwrap_or_default();
    let text = |item: Value| match &attribute {
        Some(name) => given(&item.get_attr(name)?),
        None => given(&item),
    };
    Ok(values.try_iter()?.map(text).collect::<Result<Vec<_>, Error>>()?.join(&between))
}

/// Writes JSON as Jinja2 does: members sorted, non-ASCII and HTML characters escaped. An undefined value is an error.
fn tojson(value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let indent = indent.map_or_else(|| options.get("indent"), |indent| Ok(Some(indent)))?;
    options.assert_all_used()?;
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "an undefined value has no JSON"));
    }
    let mut json = String::new();
    write_json(&mut json, value, indent, 0)?;
    Ok(json)
}

fn write_json(json: &mut String, value: &Value, indent: Option<usize>, depth: usize) -> Result<(), Error> {
    let line = |json: &mut String, depth: usize| {
        if let Some(indent) = indent {
            json.push('\n');
            json.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let between = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::None => json.push_str("null"),
        ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => json.push_str(&shown(value)),
        ValueKind::String => write_json_text(json, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            json.push('[');
            let mut any = false;
            for item in value.try_iter()? {
                json.push_str(if any { between } else { "" });
                line(json, depth + 1);
                write_json(json, &item, indent, depth + 1)?;
                any = true;
            }
            if any {
                line(json, depth);
            }
            json.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<(String, Value)> = value.try_iter()?.map(|key| (text(&key), key)).collect();
            keys.sort_by(|(one, _), (other, _)| one.cmp(other));
            json.push('{');
            for (at, (name, key)) in keys.iter().enumerate() {
                json.push_str(if at > 0 { between } else { "" });
                line(json, depth + 1);
                write_json_text(json, name);
                json.push_str(": ");
                write_json(json, &value.get_item(key)?, indent, depth + 1)?;
            }
            if !keys.is_empty() {
                line(json, depth);
            }
            json.push('}');
        }
        _ => return Err(Error::new(ErrorKind::BadSerialization, format!("{value} has no JSON"))),
    }
    Ok(())
}

fn write_json_text(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\'' | '\0'..='\u{1f}' | '\u{7f}'.. => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    json.push_str(&format!("\\u{unit:04x}"));
                }
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
}
