//! Keys by which records are the same, or nearly the same: hashes of the user's messages. The hash is XXH3. Its
//! specification fixes the results, and groups are drawn in the order of their keys.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::data::json::canonical::CanonicalWriter;
use crate::data::json::tape::{KeyName, Tape};
use crate::data::record::{Content, Message, id};

/// Makes keys. Holds scratch space, so reuse it.
#[derive(Debug, Default)]
pub(crate) struct TextKeyMaker {
    exact: Vec<u8>,
    masked: Vec<u8>,
    tape: Tape,
    writer: CanonicalWriter,
}

const TEXT: KeyName = KeyName::new("text");

/// The keys of one record's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextKeys {
    /// Equal if the user's messages are the same.
    pub(crate) exact: u128,
    /// Equal if they are the same after digits and punctuation are masked.
    pub(crate) masked: u64,
}

impl TextKeyMaker {
    /// Makes the keys of the user's messages, or of all messages with their roles if none is the user's.
    pub(crate) fn of(&mut self, messages: &[Message<'_>]) -> TextKeys {
        self.exact.clear();
        self.masked.clear();
        let is_user = |message: &&Message<'_>| message.role.as_deref() == Some("user");
        if messages.iter().any(|message| is_user(&message)) {
            messages.iter().filter(is_user).for_each(|message| self.add(&message.content));
        } else {
            for message in messages {
                self.exact.push(b'r');
                self.exact.extend_from_slice(message.role.as_deref().unwrap_or_default().as_bytes());
                self.add(&message.content);
            }
        }
        let exact = xxh3_128(&self.exact);
        // The mask leaves nothing of texts without letters. They would all be one group.
        let letters = self.masked.iter().any(|b| !matches!(b, b' ' | b'\n'));
        let masked = if letters { xxh3_64(&self.masked) } else { exact as u64 };
        TextKeys { exact, masked }
    }

    fn add(&mut self, content: &Content<'_>) {
        let start = self.exact.len();
        match content {
            Content::None => {}
            Content::Text(text) => {
                let text = text.read();
                self.exact.extend_from_slice(text.as_bytes());
                mask(&text, &mut self.masked);
            }
            Content::Parts(parts) => {
                for part in parts {
                    self.add_part(part);
                }
            }
        }
        // The length behind the text keeps ("ab", "c") and ("a", "bc") apart.
        let length = (self.exact.len() - start) as u64;
        self.exact.extend_from_slice(&length.to_le_bytes());
        self.masked.push(b'\n');
    }

    fn add_part(&mut self, json: &str) {
        let part = self.tape.read(json, 0).ok();
        match part.and_then(|part| part.root.get(TEXT)?.text()) {
            Some(text) => {
                let text = text.read();
                self.exact.extend_from_slice(text.as_bytes());
                mask(&text, &mut self.masked);
            }
            None => {
                let start = self.exact.len();
                match part.filter(|part| !part.has_lone_surrogate) {
                    Some(part) => self.writer.write(part.root, &mut self.exact),
                    None => self.exact.extend_from_slice(json.as_bytes()),
                }
                // An image or a file has no text to mask. It equals only itself.
                let key = id::id_of(&self.exact[start..]);
                self.masked.extend_from_slice(&id::hex_digits(key));
            }
        }
    }
}

/// Appends `text` with one space for every run of characters that are no letters, and none at its ends.
fn mask(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    if text.is_ascii() {
        mask_ascii(text.as_bytes(), out);
    } else {
        for c in text.chars() {
            let is_letter = if c.is_ascii() { c.is_ascii_alphabetic() } else { c.is_alphabetic() };
            if is_letter {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else if out.len() > start && !out.ends_with(b" ") {
                out.push(b' ');
            }
        }
    }
    if out.len() > start && out.ends_with(b" ") {
        out.pop();
    }
}

/// Masks ASCII text. May leave a space at the end. Has no branches, because the ends of words cannot be predicted.
fn mask_ascii(text: &[u8], out: &mut Vec<u8>) {
    let mut end = out.len();
    out.resize(end + text.len(), 0);
    let mut after_letter = false;
    for &byte in text {
        let is_letter = byte.is_ascii_alphabetic();
        out[end] = if is_letter { byte } else { b' ' };
        end += usize::from(is_letter | after_letter);
        after_letter = is_letter;
    }
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut out = b" ".to_vec();
        mask(text, &mut out);
        String::from_utf8(out.split_off(1)).unwrap()
    }

    fn user(text: &str) -> Message<'_> {
        Message { role: Some("user".into()), content: Content::Text(text.into()), ..Message::default() }
    }

    #[test]
    fn digits_and_punctuation_are_masked() {
        assert_eq!(masked("ACME up 5% on Q3!"), "ACME up on Q");
        assert_eq!(masked("ACME up 12.5 % on Q1"), "ACME up on Q");
        assert_eq!(masked(" É—ü, 東京 3"), "É ü 東京");
        assert_eq!(masked("12:30"), "");
    }

    proptest::proptest! {
        #[test]
        fn texts_of_ascii_are_masked_as_all_others_are(text in "[ -~\\n]{0,40}") {
            // The letter beyond ASCII makes it take the way of those that have one.
            let with_another = format!("{} \u{e9}", masked(&text));
            proptest::prop_assert_eq!(masked(&format!("{text} \u{e9}")), with_another.trim_start());
        }
    }

    #[test]
    fn keys_follow_the_users_messages_only() {
        let mut keys = TextKeyMaker::default();
        let system = Message { role: Some("system".into()), content: Content::Text("s".into()), ..Message::default() };
        let with_system = keys.of(&[system, user("up 5%")]);
        let near = keys.of(&[user("up 6%")]);
        assert_eq!(with_system, keys.of(&[user("up 5%")]));
        assert_ne!(with_system.exact, near.exact);
        assert_eq!(with_system.masked, near.masked);
        assert_ne!(keys.of(&[user("ab"), user("c")]), keys.of(&[user("a"), user("bc")]));
    }

    #[test]
    fn texts_without_letters_are_not_one_group() {
        let mut keys = TextKeyMaker::default();
        assert_ne!(keys.of(&[user("1 + 1")]).masked, keys.of(&[user("2 + 2")]).masked);
    }

    #[test]
    fn parts_of_text_equal_the_text_and_images_differ() {
        let mut keys = TextKeyMaker::default();
        let mut of = |json: &str| {
            let parts: Vec<&serde_json::value::RawValue> = serde_json::from_str(json).unwrap();
            let parts = parts.iter().map(|part| part.get()).collect();
            keys.of(&[Message { role: Some("user".into()), content: Content::Parts(parts), ..Message::default() }])
        };
        let text = of(r#"[{"type":"text","text":"hi"}]"#);
        let one = of(r#"[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"a"}}]"#);
        let two = of(r#"[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"b"}}]"#);
        assert_ne!(one, two);
        assert_ne!(one.masked, two.masked);
        assert_eq!(text, TextKeyMaker::default().of(&[user("hi")]));
        assert_eq!(of(r#"[{"text":"no","text":"hi"}]"#), text, "the last value counts, as in the canonical form");
    }
}
