//! Mutations of a request: its path, query, JSON, bytes and framing. A seed makes a failure repeatable.

use serde_json::{Value, json};

/// A request of requests.jsonl, or a mutation of one.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub kind: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub framing: Framing,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// With its length, in one piece.
    Whole,
    /// With its length, in pieces.
    Pieces,
    /// In chunks.
    Chunked,
    /// In chunks without the last one.
    Unended,
    /// With a length that is larger than the body.
    Short,
    /// With a length beyond the limit, and without a body.
    Oversized,
    /// In chunks, after so many mebibytes of blanks.
    Padded(usize),
    /// In one piece, with one wrong byte in its head.
    Garbled(u64),
    /// In pieces, with other requests in between.
    Slow,
    /// The client hangs up within the head.
    CutHead,
    /// The client hangs up within the body.
    CutBody,
    /// The client hangs up before it reads the answer.
    Unread,
}

impl Framing {
    /// Returns whether the server may hang up without an answer.
    pub(crate) fn broken(self) -> bool {
        use Framing::{CutBody, CutHead, Garbled, Short, Unended, Unread};
        matches!(self, Unended | Short | Garbled(_) | CutHead | CutBody | Unread)
    }

    fn draw(dice: &mut Dice) -> Framing {
        match dice.below(12) {
            0 => Framing::Pieces,
            1 => Framing::Chunked,
            2 => Framing::Unended,
            3 => Framing::Short,
            4 => Framing::Oversized,
            5 => Framing::Garbled(dice.next()),
            6..=8 => Framing::Slow,
            9 => Framing::CutHead,
            10 => Framing::CutBody,
            _ => Framing::Unread,
        }
    }
}

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// Shuffles a list.
    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Returns the request with one or two mutations.
pub(crate) fn mutate(request: &Request, dice: &mut Dice) -> Request {
    let mut changed = request.clone();
    for _ in 0..=dice.below(2) {
        // Without a body, the other parts are mutated more often.
        match dice.below(if changed.body.is_empty() { 8 } else { 16 }) {
            0 if dice.below(2) == 0 => {
                changed.method = dice.pick(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]).into()
            }
            0 => segment(&mut changed, dice),
            1 | 2 => query(&mut changed, dice),
            3 | 4 => headers(&mut changed, dice),
            5 | 6 => changed.framing = Framing::draw(dice),
            7..=9 => bytes(&mut changed.body, dice),
            _ => value(&mut changed.body, dice),
        }
    }
    changed
}

const SEGMENTS: [&str; 14] = [
    "",
    ".",
    "..",
    "%2e%2e",
    "%00",
    "%ff%fe",
    "a%2Fb",
    "absent",
    "@",
    "+",
    "%",
    "%E4%B8%AD%E6%96%87",
    "%0d%0ax:y",
    "{id}",
];

fn segment(request: &mut Request, dice: &mut Dice) {
    let (path, query) = request.path.split_once('?').map_or((request.path.as_str(), None), |(p, q)| (p, Some(q)));
    let mut steps: Vec<String> = path.split('/').map(str::to_owned).collect();
    let at = 1 + dice.below(steps.len() - 1);
    match dice.below(4) {
        0 => steps[at] = "n".repeat(1 << dice.below(14)),
        1 => steps.insert(at, dice.pick(&SEGMENTS.map(|s| s)).to_owned()),
        2 if steps.len() > 2 => drop(steps.remove(at)),
        _ => steps[at] = dice.pick(&SEGMENTS.map(|s| s)).to_owned(),
    }
    request.path = steps.join("/") + &query.map(|query| format!("?{query}")).unwrap_or_default();
}

fn query(request: &mut Request, dice: &mut Dice) {
    let names = [
        "page",
        "page_size",
        "sort",
        "filter[namespace]",
        "filter%5Bcreated_at%5D%5Bgte%5D",
        "search[name]",
        "filter[",
        "filter[]",
        "filter[a][b][c][d]",
        "recursive",
        "expand",
        "limit",
        "skip_validation_checks",
        "",
    ];
    let values = [
        "0",
        "1",
        "-1",
        "99999999999999999999",
        "18446744073709551615",
        "x",
        "",
        "%00",
        "%ff",
        "a,b,,c",
        "true",
        "-created_at",
        "name",
        "2025-01-01T00:00:00Z",
        "NaN",
    ];
    let sign = if request.path.contains('?') { '&' } else { '?' };
    request.path = format!("{}{sign}{}={}", request.path, dice.pick(&names), dice.pick(&values));
}

fn headers(request: &mut Request, dice: &mut Dice) {
    let many = "v".repeat(1 << dice.below(12));
    let (name, value) = match dice.below(8) {
        0 => (
            "range",
            dice.pick(&["bytes=0-", "bytes=5-2", "bytes=-0", "bytes=99999999999999999999-", "lines=1", "bytes=-"]),
        ),
        1 => (
            "content-type",
            dice.pick(&["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "/"]),
        ),
        2 => ("accept", dice.pick(&["application/zip", "text/event-stream", "*/*;q=x"])),
        3 => ("expect", "100-continue"),
        4 => ("authorization", dice.pick(&["Bearer", "Basic !!!", "Bearer x y z"])),
        5 => ("x-dfwfd-internal", "guess"),
        6 => ("accept-encoding", "br;q=1, gzip"),
        _ => ("x-many", many.as_str()),
    };
    request.headers.push((name.to_owned(), value.to_owned()));
}

/// Mutates the bytes of a body.
pub(crate) fn bytes(body: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(body.len() + 1);
    match dice.below(6) {
        0 => body.truncate(at),
        1 if at < body.len() => body[at] ^= 1 << dice.below(8),
        2 => body.insert(at, u8::try_from(dice.below(256)).unwrap()),
        3 => body.clear(),
        4 => {
            let again = body.clone();
            body.extend(again);
        }
        _ => {
            let deep = dice.pick(&["[", "{\"a\":", "\"", "\\u0000", "\u{feff}"]).repeat(1 << dice.below(12));
            body.splice(at..at, deep.into_bytes());
        }
    }
}

/// Mutates one value of a JSON body, or of one line of a JSONL body.
pub(crate) fn value(body: &mut Vec<u8>, dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> = body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = dice.below(lines.len());
    let Ok(mut json) = serde_json::from_slice::<Value>(&lines[at]) else { return bytes(body, dice) };
    let count = count(&json);
    let place = dice.below(count);
    change(&mut json, &mut place.clone(), dice);
    lines[at] = json.to_string().into_bytes();
    *body = lines.join(&b'\n');
}

fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn change(json: &mut Value, place: &mut usize, dice: &mut Dice) {
    if *place == 0 {
        *place = usize::MAX;
        return replace(json, dice);
    }
    *place -= 1;
    let inside: Vec<&mut Value> = match json {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => return,
    };
    for inner in inside {
        if *place == usize::MAX {
            return;
        }
        change(inner, place, dice);
    }
}

fn replace(json: &mut Value, dice: &mut Dice) {
    let texts = [
        "",
        " ",
        "/",
        "a/b",
        "a/b@c",
        "@",
        "../..",
        "\u{0}",
        "中文",
        "{{",
        "{{ item.x | tojson }}",
        "{% for %}",
        "hf://datasets/",
        "hf://datasets/foreign/eval",
        "(?P<a",
        "NaN",
    ];
    *json = match dice.below(12) {
        0 => Value::Null,
        1 => json!(dice.below(2) == 0),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(1e308),
        6 => json!([]),
        7 => json!({}),
        8 => json!([json.clone()]),
        9 => json!({"name": json.clone()}),
        10 => json!("x".repeat(1 << dice.below(14))),
        _ => json!(dice.pick(&texts)),
    };
}
