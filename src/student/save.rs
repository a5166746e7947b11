//! An adapter as bytes and back. Owns the format, its version and the refusal of anything else; damaged bytes are an
//! error, never a panic and never an adapter that answers differently.
//!
//! Format, little-endian: the magic, a version, a BLAKE3 hash of the rest, then the rest: size, template (line hashes,
//! prefix, suffix), features (hash and weight of each), replies, weights, and where tools are called the rows that called them.

use super::Size;
use super::adapter::{Adapter, Weights};
use super::features::Vectorizer;
use super::template::Template;
use super::tools::{Remembered, ToolCall};

const MAGIC: &[u8] = b"dfwfd-adapter\n";
const VERSION: u32 = 1;
const HASH: usize = 32;

/// Why bytes are not an adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// They begin differently.
    #[error("the bytes are not those of an adapter")]
    Foreign,
    /// They were written in a form that this version does not know.
    #[error("the adapter has format version {0}, and this program reads version {VERSION}")]
    Version(u32),
    /// They were cut or changed.
    #[error("the adapter is damaged")]
    Content,
}

impl Adapter {
    /// The adapter as bytes; equal adapters give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Writer(Vec::new());
        body.0.push(match self.vectorizer.size {
            Size::Small => 0,
            Size::Large => 1,
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
        if !self.memory.is_empty() {
            body.count(self.memory.len());
            self.memory.iter().for_each(|kept| body.remembered(kept));
        }

        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(blake3::hash(&body.0).as_bytes());
        bytes.extend(body.0);
        bytes
    }

    /// The adapter that `bytes` hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Adapter, Damaged> {
        let mut head = Reader(bytes.strip_prefix(MAGIC).ok_or(Damaged::Foreign)?);
        let version = head.u32().ok_or(Damaged::Content)?;
        if version != VERSION {
            return Err(Damaged::Version(version));
        }
        let (hash, body) = head.0.split_at_checked(HASH).ok_or(Damaged::Content)?;
        if blake3::hash(body).as_bytes() != hash {
            return Err(Damaged::Content);
        }
        adapter(Reader(body)).ok_or(Damaged::Content)
    }
}

/// Reads the part that is hashed; none when it does not fit together.
fn adapter(mut body: Reader) -> Option<Adapter> {
    let size = match body.take::<1>()? {
        [0] => Size::Small,
        [1] => Size::Large,
        _ => return None,
    };
    let lines = (0..body.count(8)?).map(|_| body.u64()).collect::<Option<_>>()?;
    let template = Template { lines, prefix: body.text()?, suffix: body.text()? };
    let features = (0..body.count(12)?).map(|_| Some((body.u64()?, body.f32()?))).collect::<Option<Vec<_>>>()?;
    let replies = (0..body.count(4)?).map(|_| body.text()).collect::<Option<Vec<_>>>()?;
    let expected = (features.len() + 1).checked_mul(replies.len())?;
    if replies.is_empty() || body.0.len() < expected.checked_mul(4)? {
        return None;
    }
    let values = (0..expected).map(|_| body.f32()).collect::<Option<_>>()?;
    let weights = Weights { classes: replies.len(), values };
    let memory = if body.0.is_empty() {
        Vec::new()
    } else {
        (0..body.count(24)?).map(|_| body.remembered()).collect::<Option<Vec<_>>>()?
    };
    if !body.0.is_empty() || memory.iter().any(|kept| kept.class >= replies.len()) {
        return None;
    }
    Some(Adapter { template, vectorizer: Vectorizer::from_features(size, features), replies, weights, memory })
}

struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, count: usize) {
        self.0.extend((count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }
}

impl Writer {
    fn remembered(&mut self, kept: &Remembered) {
        self.count(kept.class);
        self.text(&kept.text);
        self.count(kept.calls.len());
        for call in &kept.calls {
            self.text(&call.name);
            self.text(&call.arguments);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
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

    /// How many items of at least `each` bytes follow; none when the bytes cannot hold them.
    fn count(&mut self, each: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(each)? <= self.0.len()).then_some(count)
    }

    fn remembered(&mut self) -> Option<Remembered> {
        let class = usize::try_from(self.u64()?).ok()?;
        let text = self.text()?;
        let call = |body: &mut Self| Some(ToolCall { name: body.text()?, arguments: body.text()? });
        let calls = (0..self.count(16)?).map(|_| call(self)).collect::<Option<_>>()?;
        Some(Remembered { class, text, calls })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.count(1)?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(taken.to_vec()).ok()
    }
}
