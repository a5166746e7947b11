//! Writes adapters as bytes and reads them back. Damaged bytes are an error, never a panic and never an adapter that
//! answers differently.
//!
//! The format is little-endian: the magic, a version, a BLAKE3 hash of the body, and the body. The body holds the size, the
//! template (line hashes, prefix, suffix), the features (hash and weight of each), the replies, the weights and, if any
//! row called tools, those rows.

use super::adapter::{Adapter, Weights};
use super::features::Vectorizer;
use super::size::StudentSize;
use super::template::PromptTemplate;
use super::tool_call::{CallExample, ToolCall};

const MAGIC: &[u8] = b"dfwfd-adapter\n";
const VERSION: u32 = 1;
const HASH: usize = 32;

/// The reason why bytes are no adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdapterError {
    #[error("the bytes do not hold an adapter")]
    NotAnAdapter,
    #[error("cannot read format version {0} of an adapter: this program reads version {VERSION}")]
    Version(u32),
    #[error("the adapter is damaged")]
    Damaged,
}

impl Adapter {
    /// Writes the adapter as bytes. Equal adapters give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = ByteWriter(Vec::new());
        body.0.push(match self.vectorizer.size {
            StudentSize::Small => 0,
            StudentSize::Large => 1,
        });
        body.count(self.template.lines.len());
        self.template.lines.iter().for_each(|line| body.0.extend(line.to_le_bytes()));
        body.text(&self.template.prefix);
        body.text(&self.template.suffix);
        body.count(self.vectorizer.features.len());
        for (gram, weight) in &self.vectorizer.features {
            body.0.extend(gram.to_le_bytes());
            body.0.extend(weight.to_le_bytes());
        }
        body.count(self.replies.len());
        self.replies.iter().for_each(|reply| body.text(reply));
        self.weights.values.iter().for_each(|value| body.0.extend(value.to_le_bytes()));
        if !self.call_examples.is_empty() {
            body.count(self.call_examples.len());
            self.call_examples.iter().for_each(|kept| body.call_example(kept));
        }

        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(blake3::hash(&body.0).as_bytes());
        bytes.extend(body.0);
        bytes
    }

    /// Reads an adapter from `bytes`.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Adapter, AdapterError> {
        let mut head = ByteReader(bytes.strip_prefix(MAGIC).ok_or(AdapterError::NotAnAdapter)?);
        let version = head.u32().ok_or(AdapterError::Damaged)?;
        if version != VERSION {
            return Err(AdapterError::Version(version));
        }
        let (hash, body) = head.0.split_at_checked(HASH).ok_or(AdapterError::Damaged)?;
        if blake3::hash(body).as_bytes() != hash {
            return Err(AdapterError::Damaged);
        }
        read_body(ByteReader(body)).ok_or(AdapterError::Damaged)
    }
}

/// Reads the body. Returns none when its parts do not fit together.
fn read_body(mut body: ByteReader) -> Option<Adapter> {
    let size = match body.take::<1>()? {
        [0] => StudentSize::Small,
        [1] => StudentSize::Large,
        _ => return None,
    };
    let lines = (0..body.count(8)?).map(|_| body.u64()).collect::<Option<_>>()?;
    let template = PromptTemplate { lines, prefix: body.text()?, suffix: body.text()? };
    let features = (0..body.count(12)?).map(|_| Some((body.u64()?, body.f32()?))).collect::<Option<Vec<_>>>()?;
    let replies = (0..body.count(4)?).map(|_| body.text()).collect::<Option<Vec<_>>>()?;
    let expected = (features.len() + 1).checked_mul(replies.len())?;
    if replies.is_empty() || body.0.len() < expected.checked_mul(4)? {
        return None;
    }
    let values = (0..expected).map(|_| body.f32()).collect::<Option<_>>()?;
    let weights = Weights { classes: replies.len(), values };
    let call_examples = if body.0.is_empty() {
        Vec::new()
    } else {
        (0..body.count(24)?).map(|_| body.call_example()).collect::<Option<Vec<_>>>()?
    };
    if !body.0.is_empty() || call_examples.iter().any(|kept| kept.class >= replies.len()) {
        return None;
    }
    Some(Adapter { template, vectorizer: Vectorizer::from_features(size, features), replies, weights, call_examples })
}

struct ByteWriter(Vec<u8>);

impl ByteWriter {
    fn count(&mut self, count: usize) {
        self.0.extend((count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }

    fn call_example(&mut self, kept: &CallExample) {
        self.count(kept.class);
        self.text(&kept.text);
        self.count(kept.calls.len());
        for call in &kept.calls {
            self.text(&call.name);
            self.text(&call.arguments);
        }
    }
}

struct ByteReader<'a>(&'a [u8]);

impl ByteReader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes)
    }

    /// Reads a number of items of at least `each` bytes. Returns none when the bytes cannot hold so many.
    fn count(&mut self, each: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(each)? <= self.0.len()).then_some(count)
    }

    fn call_example(&mut self) -> Option<CallExample> {
        let class = usize::try_from(self.u64()?).ok()?;
        let text = self.text()?;
        let call = |body: &mut Self| Some(ToolCall { name: body.text()?, arguments: body.text()? });
        let calls = (0..self.count(16)?).map(|_| call(self)).collect::<Option<_>>()?;
        Some(CallExample { class, text, calls })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.count(1)?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(taken.to_vec()).ok()
    }
}
