//! Tests which texts are masked, which are left alone, and what a placeholder tells.

use serde_json::{Value, json};

use super::*;

fn all() -> RedactRules {
    RedactRules { kinds: known_kinds().into_iter().map(str::to_owned).collect(), ..RedactRules::default() }
}

fn redactor() -> Redactor {
    Redactor::new(&all(), [7; 32]).unwrap()
}

/// Returns the kinds that are masked in a text.
fn kinds(text: &str) -> Vec<String> {
    let mut redactor = redactor();
    redactor.text(text);
    redactor.counts.into_keys().collect()
}

#[test]
fn every_kind_is_found_and_its_checksum_counts() {
    for (text, kind) in [
        ("write to Jane.Doe+x@mail.example.co.uk, please", "email"),
        ("call +49 30 901820 today", "phone"),
        ("call (212) 555-0147 today", "phone"),
        ("call 030/901820-11 today", "phone"),
        ("paid with 4111 1111 1111 1111 yesterday", "card"),
        ("paid with 378282246310005", "card"),
        ("to DE89 3704 0044 0532 0130 00 by Monday", "iban"),
        ("to GB82WEST12345698765432", "iban"),
        ("ssn 536-22-8765", "national_id"),
        ("nino AB 12 34 56 C", "national_id"),
        ("dni 12345678Z", "national_id"),
        ("nir 1 84 12 76 451 089 46", "national_id"),
        ("cf RSSMRA85T10A562S", "national_id"),
        ("cpf 529.982.247-25", "national_id"),
        ("from 203.0.113.77 again", "ip"),
        ("from 2001:db8:85a3::8a2e:370:7334 again", "ip"),
        ("key sk-proj-abcdefghijklmnopqrstuvwx", "secret"),
        ("AKIAIOSFODNN7EXAMPLE", "secret"),
        ("password: hunter2hunter2", "secret"),
        ("DB_PASSWORD='correct-horse'", "secret"),
        ("pwd:correcthorse", "secret"),
        ("login with password: s3cr3t!", "secret"),
        ("password=x1y2, thanks", "secret"),
        ("Passwort? password: hunter", "secret"),
        ("API key: k-77aa", "secret"),
        ("Authorization: Bearer tok12345", "secret"),
        ("postgres://app:pw@db.internal/x", "secret"),
        ("OPENAI_API_KEY=abc123def456", "secret"),
        ("aws_secret_access_key = wJalrXUtnFEMIK7MDENG", "secret"),
        ("secret_key=\"abc123def456\"", "secret"),
        ("Authorization: Bearer abcdef0123456789", "secret"),
        ("SG.abcdefghijklmnopqrst.uvwxyzabcdefghijklmnop", "secret"),
        ("dop_v1_0123456789abcdef0123456789abcdef", "secret"),
        ("postgres://app:s3cr3tpass@db.internal/x", "secret"),
        ("call 415 555 2671 today", "phone"),
        ("appelez le 01 23 45 67 89", "phone"),
        ("call +49 151/23456789 today", "phone"),
        ("call +49\u{a0}30\u{a0}901820 today", "phone"),
        ("paid with 4111\u{a0}1111\u{202f}1111\u{a0}1111", "card"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "secret"),
    ] {
        assert_eq!(kinds(text), [kind], "{text}");
    }
    for text in [
        "4111 1111 1111 1112",
        "DE89370400440532013001",
        "000-22-8765",
        "12345678A",
        "1 84 12 76 451 089 47",
        "529.982.247-26",
        "Shares rose 5.25 % to 1,234.56 on 2024-05-01 at 10:15:30, up from 1.2.3",
        "Q3 revenue of $12,345,678 vs. $11,987,654; EPS 1.02",
        "version 10.0.0.300, 127.0.0.1",
        "ISIN US0378331005, CUSIP 037833100, order 123456789",
        "meet @acme, ratio 12:30:45",
        "[[[Dividends]]]",
        "The secret: diversification. Tokens: 16384 in all",
        "price per token: 16384, password: at least 8 letters",
        "the password: ask Jane. Token: yes",
        "a bearer bond, bearer tok1",
        "revenue of 415 555 and 2671 units",
        "https://example.com:8080/path",
    ] {
        assert_eq!(kinds(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_value_has_one_placeholder_that_only_its_key_gives() {
    let mut one = redactor();
    let first = one.text("a@b.example and A@B.example").into_owned();
    let parts: Vec<&str> = first.split(" and ").collect();
    assert!(parts[0] == parts[1] && parts[0].starts_with("<email:") && !first.contains("b.example"), "{first}");
    assert_eq!(one.text("4111-1111-1111-1111"), one.text("4111 1111 1111 1111"));
    assert_ne!(one.text("c@b.example"), first);
    let mut other = Redactor::new(&all(), [8; 32]).unwrap();
    assert_ne!(other.text("a@b.example"), parts[0]);
    assert_eq!(one.text(&first), first, "a placeholder is not masked again");
    assert_eq!(one.counts["email"], 3);
}

#[test]
fn only_chosen_kinds_and_own_patterns_are_masked() {
    let rules = RedactRules {
        kinds: vec!["email".to_owned()],
        patterns: BTreeMap::from([("account".to_owned(), r"\bAC-\d{4}\b".to_owned())]),
    };
    let mut redactor = Redactor::new(&rules, [0; 32]).unwrap();
    let masked = redactor.text("AC-1234 a@b.example 203.0.113.77").into_owned();
    assert!(
        masked.starts_with("<account:") && masked.contains("<email:") && masked.ends_with("203.0.113.77"),
        "{masked}"
    );
    let rules = RedactRules { patterns: BTreeMap::from([("x".to_owned(), "(".to_owned())]), ..RedactRules::default() };
    assert!(Redactor::new(&rules, [0; 32]).is_err());
}

#[test]
fn texts_of_requests_and_responses_are_masked_and_nothing_else() {
    let record = json!({
        "timestamp": "2024-05-01T10:00:00+02:00", "workload_id": "w", "client_id": "desk@acme.example", "n": 12,
        "request": {"messages": [
            {"role": "user", "content": [{"type": "text", "text": "I am \"Jane\" <jane@b.example>\n"}]},
            {"role": "assistant", "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": "{\"to\":\"jane@b.example\"}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sent to jane\u{40}b.example"},
        ]},
        "response": {"choices": [{"message": {"role": "assistant", "content": "[[[A]]] jane@b.example"}}]},
    });
    let mut redactor = redactor();
    let mut out = Vec::new();
    redactor.line(record.to_string().as_bytes(), &mut out);
    let masked: Value = serde_json::from_slice(&out).unwrap();
    assert!(!String::from_utf8_lossy(&out).contains("jane@") && redactor.counts["email"] == 4, "{masked}");
    for kept in ["timestamp", "workload_id", "client_id", "n"] {
        assert_eq!(masked[kept], record[kept]);
    }
    assert!(masked["response"]["choices"][0]["message"]["content"].as_str().unwrap().starts_with("[[[A]]] <email:"));
    serde_json::from_str::<Value>(
        masked["request"]["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().unwrap(),
    )
    .unwrap();
}

#[test]
fn what_was_masked_once_stays_as_it_is() {
    let rules = RedactRules { patterns: BTreeMap::from([("password".to_owned(), r"hunter\d+".to_owned())]), ..all() };
    let mut redactor = Redactor::new(&rules, [7; 32]).unwrap();
    for text in
        ["my key sk-proj-abcdefghijklmnopqrstuvwx", "password: hunter2222", "api_key=abc123def456", "a@b.example"]
    {
        let once = redactor.text(text).into_owned();
        let found: u64 = redactor.counts.values().sum();
        assert_eq!(redactor.text(&once), once);
        let placeholder = &once[once.find('<').unwrap()..];
        assert_eq!(redactor.text(&format!("password: {placeholder}")), format!("password: {placeholder}"));
        assert_eq!(redactor.counts.values().sum::<u64>(), found, "{text}");
        assert_eq!(once.matches('<').count(), 1, "{once}");
    }
}

#[test]
fn a_secret_has_one_placeholder_whatever_its_name() {
    let mut redactor = redactor();
    let texts = ["password: abc123def456", "MY_API_KEY=abc123def456", "{\"a\":{\"client_secret\":\"abc123def456\"}}"];
    let mut placeholders: Vec<String> = Vec::new();
    for text in texts {
        let mut out = Vec::new();
        redactor.line(text.as_bytes(), &mut out);
        let masked = String::from_utf8(out).unwrap();
        let (start, end) = (masked.find('<').unwrap(), masked.find('>').unwrap());
        placeholders.push(masked[start..=end].to_owned());
        assert!(text.starts_with(&masked[..start]), "the name stays: {masked}");
    }
    placeholders.dedup();
    assert_eq!(placeholders.len(), 1, "{placeholders:?}");
}

#[test]
fn the_name_of_a_field_tells_a_secret_however_short_it_is() {
    let line = json!({"password": "hunter2", "db": {"api_key": "k-77aa", "client_secret": "open sesame"},
        "pw2": {"password": 12345678}, "pins": {"pwd": [1234, "a b"]}, "a": {"Authorization": "Basic x"},
        "rate": {"passwd": -1.5}, "text": {"arguments": "{\"password\": \"pw\"}"}});
    let mut redactor = redactor();
    let mut out = Vec::new();
    redactor.line(line.to_string().as_bytes(), &mut out);
    let masked = String::from_utf8(out).unwrap();
    for value in ["hunter2", "k-77aa", "sesame", "12345678", "1234", "a b", "Basic", "1.5", "pw\\\""] {
        assert!(!masked.contains(value), "{value}: {masked}");
    }
    assert_eq!(redactor.counts, RedactionCounts::from([("secret".to_owned(), 9)]), "{masked}");
    let mut again = Vec::new();
    redactor.line(masked.as_bytes(), &mut again);
    assert_eq!(String::from_utf8(again).unwrap(), masked, "placeholders stay");
    let kept = r#"{"password":"","secret":null,"api_key":true,"pwd":{"type":"string"},"passwd":[],"secrets":"two"}"#;
    let mut out = Vec::new();
    redactor.line(kept.as_bytes(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), kept);
}

#[test]
fn json_stays_json_with_the_same_keys() {
    let arguments = [
        json!({"user": "joe", "password": "correcthorse0"}),
        json!({"card": 4111111111111111_u64, "n": 3, "share": 0.4111111111111111}),
        json!({"ids": [4111111111111111_u64, 5], "deep": {"apiKey": "abcdefgh1", "note": "{\"to\":\"a@b.example\"}"}}),
        json!({"empty": {}, "none": [], "phone": "+14155552671", "password": {"type": "string"}}),
    ];
    for arguments in arguments {
        for written in [json!(arguments.to_string()), arguments.clone()] {
            let record = json!({"workload_id": "w", "request": {"messages": [{"role": "user", "content": "u"}]},
                "response": {"choices": [{"message": {"role": "assistant", "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": written}}]}}]}});
            let mut out = Vec::new();
            redactor().line(record.to_string().as_bytes(), &mut out);
            let masked: Value = serde_json::from_slice(&out).unwrap();
            let call = &masked["response"]["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"];
            let text = call.as_str().map_or_else(|| call.to_string(), str::to_owned);
            let call: Value = serde_json::from_str(&text).unwrap();
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&call), keys(&arguments));
            for hidden in ["correcthorse", "4111111111111111,", "4111111111111111]", "abcdefgh1", "a@b.ex", "1415555"] {
                assert!(!text.contains(hidden), "{text}");
            }
            for kept in ["n", "share", "user", "empty", "none"].iter().filter(|key| arguments.get(**key).is_some()) {
                assert_eq!(call[kept], arguments[kept]);
            }
        }
    }
}

#[test]
fn a_value_in_two_pieces_of_a_stream_is_masked() {
    let piece =
        |text: &str, end: Value| json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": end}]});
    let record = json!({"workload_id": "w", "request": {"messages": [{"role": "user", "content": "u"}]},
        "response": [piece("write to ja", Value::Null), piece("ne@b.exa", Value::Null), piece("mple", json!("stop"))]});
    let mut out = Vec::new();
    redactor().line(record.to_string().as_bytes(), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("write to <email:") && !text.contains("ne@b"), "{text}");
    let mut broken = Vec::new();
    redactor().line(b"{\"a\": \"jane@b.example", &mut broken);
    assert!(!String::from_utf8_lossy(&broken).contains("jane@"), "a refused line is masked too");
    let mut half = Vec::new();
    redactor().line(br#"{"a": "\ud800 jane@b.example", "b": ""}"#, &mut half);
    assert!(half.starts_with(br#"{"a":"\ud800 <email:"#) && half.ends_with(br#">","b":""}"#), "half a surrogate pair");
}

#[test]
fn digits_of_other_scripts_do_no_harm() {
    // Digits where ASCII digits would match, in Arabic-Indic, Devanagari and full-width digits, alone and mixed.
    for text in [
        "١٢٣-٤٥-٦٧٨٩",
        "4٢٣٤ ५६७८ ９０１２ ３４５６",
        "X１２３４５６７Z",
        "1 ８０ 12 ７５ ０１２ ３４５ ６７",
        "١٢٣.٤٥٦.٧٨٩-٠١",
        "DE８９ ３７０４ 0044",
        "१९२.१६८.१.१",
        "+４９ ３０ １２３４５６７",
        "0３０ ５５５-१२३४",
        "2１23-45-67x9",
    ] {
        assert_eq!(redactor().text(text), text);
    }
}
