//! Mutations of a line: its bytes, its JSON text and its JSON values.

use serde_json::{Value, json};

use crate::mutate::{Dice, bytes, value};

/// Pieces that are put into a line.
const PIECES: [&[u8]; 42] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\\"",
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"\t",
    b"\r",
    b"\0",
    b"\x1b[31m",
    b"\x7f",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\\u00",
    b"\xf0\x9f",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\x8b",
    b"\xe2\x80\xae",
    b"\xc2\xad",
    b"\xef\xbc\xa1",
    b"\xe2\x80\xa8",
    b"&amp;lt;",
    b"<think>",
    b"</think>",
    b"[[[",
    b"]]]",
    b"[[[]]]",
    b"[[[A]]] [[[B]]]",
    b"e\xcc\x81\xcc\x81\xcc\x81",
    b"\xf3\xa0\x81\x81",
    b"{{text}}",
];

/// Numbers that are written in place of another one.
const NUMBERS: [&str; 16] = [
    "1e400",
    "-1e400",
    "1e-400",
    "-0",
    "0.1e1",
    "123456789012345678901234567890",
    "-9223372036854775809",
    "18446744073709551616",
    "99999999999999",
    "253402300800",
    "-62135596801",
    "1.7976931348623157e308",
    "01",
    "NaN",
    "-Infinity",
    "0x1F",
];

/// Keys that another one is renamed to.
const KEYS: [&str; 18] = [
    "request",
    "response",
    "messages",
    "choices",
    "message",
    "content",
    "role",
    "tool_calls",
    "function_call",
    "delta",
    "index",
    "workload_id",
    "timestamp",
    "client_id",
    "feedback",
    "finish_reason",
    "reasoning_content",
    "",
];

/// Returns a line with one to three mutations. `other` is a line to mix it with.
pub(super) fn mutate(line: &str, other: &str, dice: &mut Dice) -> Vec<u8> {
    let mut line = line.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        match dice.below(20) {
            0 | 1 => bytes(&mut line, dice),
            2..=6 => value(&mut line, dice),
            7..=10 => structure(&mut line, dice),
            11 => number(&mut line, dice),
            12..=14 => put(&mut line, PIECES[dice.below(PIECES.len())], dice),
            15 => deepen(&mut line, dice),
            16 => again(&mut line, dice),
            17 => mix(&mut line, other.as_bytes(), dice),
            18 => double_key(&mut line, dice),
            _ => cut(&mut line, dice),
        }
    }
    line
}

fn put(line: &mut Vec<u8>, piece: &[u8], dice: &mut Dice) {
    let at = dice.below(line.len() + 1);
    drop(line.splice(at..at, piece.iter().copied()));
}

/// Cuts a piece out, or the rest of the line off, or the line in two.
fn cut(line: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(line.len() + 1);
    match dice.below(4) {
        0 => line.truncate(at),
        1 => put(line, b"\n", dice),
        _ => drop(line.drain(at..(at + dice.below(40)).min(line.len()))),
    }
}

fn again(line: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(line.len() + 1);
    let piece = line[at..(at + dice.below(60)).min(line.len())].to_vec();
    put(line, &piece, dice);
}

/// Puts another line, or its beginning or end, before, into or behind the line.
fn mix(line: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let from = if dice.below(2) == 0 { 0 } else { dice.below(other.len() + 1) };
    let other = &other[from..];
    match dice.below(3) {
        0 => line.extend_from_slice(other),
        1 => drop(line.splice(..0, other.iter().copied())),
        _ => put(line, other, dice),
    }
}

/// Writes another number in place of one.
fn number(line: &mut Vec<u8>, dice: &mut Dice) {
    let from = dice.below(line.len() + 1);
    let Some(start) = line[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
    let end = line[start..].iter().position(|byte| !byte.is_ascii_digit()).map_or(line.len(), |at| start + at);
    drop(line.splice(start..end, NUMBERS[dice.below(NUMBERS.len())].bytes()));
}

/// Nests a value of the line up to some thousand levels deep.
fn deepen(line: &mut Vec<u8>, dice: &mut Dice) {
    let levels = 1 << dice.below(13);
    let (open, close) = if dice.below(2) == 0 { ("[", "]") } else { ("{\"a\":", "}") };
    let from = dice.below(line.len() + 1);
    let Some(colon) = line[from..].iter().position(|byte| *byte == b':').map(|at| from + at) else { return };
    let deep = format!("{}0{},\"b\":", open.repeat(levels), close.repeat(levels));
    drop(line.splice(colon + 1..colon + 1, deep.bytes()));
}

/// Writes a member of an object twice.
fn double_key(line: &mut Vec<u8>, dice: &mut Dice) {
    let from = dice.below(line.len() + 1);
    let Some(brace) = line[from..].iter().position(|byte| *byte == b'{').map(|at| from + at + 1) else { return };
    let member = match dice.below(3) {
        0 => format!("\"{}\":null,", KEYS[dice.below(KEYS.len())]),
        1 => format!("\"{}\":{{}},", KEYS[dice.below(KEYS.len())]),
        _ => {
            let end = line[brace..].iter().position(|byte| *byte == b',').map_or(line.len(), |at| brace + at + 1);
            String::from_utf8_lossy(&line[brace..end]).into_owned()
        }
    };
    drop(line.splice(brace..brace, member.bytes()));
}

/// Renames, removes or moves a member, or doubles, removes or turns round items of a list.
fn structure(line: &mut Vec<u8>, dice: &mut Dice) {
    let Ok(mut json) = serde_json::from_slice::<Value>(line) else { return bytes(line, dice) };
    descend(&mut json, dice);
    *line = json.to_string().into_bytes();
}

/// Changes an object or list somewhere in a value.
fn descend(value: &mut Value, dice: &mut Dice) {
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    let mut inner: Vec<&mut Value> = inner.into_iter().filter(|value| value.is_array() || value.is_object()).collect();
    if inner.is_empty() || dice.below(4) == 0 {
        return change(value, dice);
    }
    let at = dice.below(inner.len());
    descend(inner[at], dice);
}

fn change(inner: &mut Value, dice: &mut Dice) {
    match inner {
        Value::Object(members) if !members.is_empty() => {
            let key = members.keys().nth(dice.below(members.len())).unwrap().clone();
            let taken = members.shift_remove(&key).unwrap();
            let name = KEYS[dice.below(KEYS.len())].to_owned();
            match dice.below(4) {
                0 => drop(taken),
                1 => drop(members.insert(name, taken)),
                2 => drop(members.insert(key, json!({name: taken}))),
                _ => drop(members.insert(key, Value::String(taken.to_string()))),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = dice.below(items.len());
            match dice.below(5) {
                0 => drop(items.remove(at)),
                1 => items.reverse(),
                2 => items.push(Value::Null),
                3 => *inner = items[at].clone(),
                _ => {
                    let item = items[at].clone();
                    items.insert(dice.below(items.len()), item);
                }
            }
        }
        other => *other = json!([other.clone(), {"role": "user", "content": "x"}]),
    }
}
