//! Looks for records whose texts are near-copies: reads their lines again, because only all records together tell which
//! part of a text varies.

use anyhow::{Context, Result};

use super::read::ReadInput;
use super::reread::LineReader;
use super::write::ROWS_AT_ONCE;
use crate::data::corpus::{Corpus, TextAt, Ungrouped};
use crate::data::forms::{self, Forms};
use crate::data::near_copies::{self, Bands, NearCopies, UsualShingles};
use crate::data::record::Record;
use crate::data::request_keys::RequestKeyMaker;
use crate::source::pipeline;

/// Records whose texts are looked at for a template. A part of 45 % of all texts passes for one of most of them less than
/// once in a thousand times.
const SAMPLE: usize = 1000;

/// Groups records, those whose texts are near-copies by a threshold too.
pub(super) fn grouped(inputs: &[ReadInput], records: Ungrouped, threshold: Option<f64>) -> Result<Corpus> {
    let near = threshold.map(|threshold| pairs(inputs, &records, &NearCopies::new(threshold))).transpose()?;
    Ok(records.grouped(&near.unwrap_or_default()))
}

/// Returns pairs of records whose texts are near-copies.
fn pairs(inputs: &[ReadInput], records: &Ungrouped, near: &NearCopies) -> Result<Vec<(u32, u32)>> {
    let mut reader = TextReader::new(inputs);
    let sample = records.some_texts(SAMPLE).into_iter().map(|at| reader.read(at).map(<[u8]>::to_vec));
    let usual = UsualShingles::of(&sample.collect::<Result<Vec<_>>>()?);
    let mut bands: Vec<Bands> = Vec::new();
    let mut texts = records.texts().peekable();
    pipeline::in_order(
        || {
            let some: Vec<TextAt> = texts.by_ref().take(ROWS_AT_ONCE).collect();
            Ok((!some.is_empty()).then_some(some))
        },
        || TextReader::new(inputs),
        |reader, some| -> Result<Vec<Bands>> {
            let of = |at| Ok(near.bands(reader.read(at)?, &usual));
            some.into_iter().map(of).collect()
        },
        |some: Result<Vec<Bands>>| {
            bands.extend(some?);
            Ok(())
        },
    )?;
    Ok(near_copies::pairs(&bands))
}

/// Reads the masked texts of records again.
struct TextReader<'a> {
    lines: LineReader<'a>,
    keys: RequestKeyMaker,
    masked: Vec<u8>,
}

impl<'a> TextReader<'a> {
    fn new(inputs: &'a [ReadInput]) -> TextReader<'a> {
        TextReader { lines: LineReader::new(inputs), keys: RequestKeyMaker::default(), masked: Vec::new() }
    }

    fn read(&mut self, at: TextAt) -> Result<&[u8]> {
        let TextReader { lines, keys, masked } = self;
        masked.clear();
        let line = lines.read(&at.origin)?;
        let read = forms::read(line, Forms::Logged, |json| {
            let record = Record::parse(json)?;
            keys.add_varying(&record.messages, at.is_whole, masked);
            Ok(())
        });
        read.with_context(|| lines.failed(&at.origin))?;
        Ok(masked)
    }
}
