//! The stages from lines to datasets, each by itself, for benches/data.rs. Commands reach them through `source`, with files
//! and threads around them.

use crate::data::corpus::Corpus;
use crate::data::groups::{self, GroupKeys, Prefix, Prefixes};
use crate::data::intake::{ExaminerScratch, Findings, Intake};
use crate::data::json::tape::Tape;
use crate::data::normal_form::mask;
use crate::data::options::{DatasetRequest, Fields, Filter, LabelRules, LogSource, SplitRules, TypeChoice};
use crate::data::origin::Origin;
use crate::data::record::{Content, FieldDefaults, Record};
use crate::data::request_keys::RequestKeyMaker;
use crate::data::split;

/// A log in memory, ready for each stage.
#[derive(Debug)]
pub struct Stages {
    lines: Vec<String>,
    texts: Vec<String>,
    keys: Vec<GroupKeys>,
    prefixes: Vec<Prefix>,
    corpus: Corpus,
    rules: SplitRules,
}

impl Stages {
    /// Takes the lines of a log, each at a time of its own. `None` if no datasets can be made of them.
    pub fn new(lines: Vec<String>, eval_size: usize) -> Option<Stages> {
        let request = request(eval_size);
        let mut intake = Intake::new(&request).ok()?;
        let (examiner, mut scratch, mut findings) =
            (intake.examiner(), ExaminerScratch::default(), Findings::default());
        let (mut texts, mut keys, mut prefixes) = (Vec::new(), Vec::new(), Prefixes::default());
        let mut maker = RequestKeyMaker::default();
        for (text, line) in lines.iter().zip(1..) {
            examiner.examine(Origin { line, ..Origin::default() }, text.as_bytes(), &mut scratch, &mut findings);
            let record = Record::parse(text.as_bytes()).ok()?;
            keys.push(maker.of(&record.messages, record.tools).group);
            prefixes.extend(maker.prefixes().to_vec());
            if let Some(Content::Text(said)) = record.messages.last().map(|message| &message.content) {
                texts.push(said.read().into_owned());
            }
        }
        intake.absorb(findings);
        let corpus = intake.finish().ok()?.grouped(&[]);
        Some(Stages { texts, keys, prefixes: prefixes.sorted(), corpus, rules: request.split, lines })
    }

    /// Returns the number of records.
    pub fn records(&self) -> usize {
        self.lines.len()
    }

    /// Reads every record, and makes its keys if asked to. Returns the number of valid ones.
    pub fn read(&self, with_keys: bool) -> usize {
        let (mut tape, mut maker) = (Tape::default(), RequestKeyMaker::default());
        let mut is_valid = |line: &String| {
            let read = Record::read(line.as_bytes(), &FieldDefaults::default(), &mut tape);
            read.is_ok_and(|(record, _)| !with_keys || maker.of(&record.messages, record.tools).request != 0)
        };
        self.lines.iter().filter(|line| is_valid(line)).count()
    }

    /// Brings the last message of every request into the form in which texts are compared. Returns the bytes.
    pub fn normal_forms(&self) -> usize {
        let mut masked = Vec::new();
        let bytes = self.texts.iter().map(|text| {
            masked.clear();
            mask(text, &mut masked);
            masked.len()
        });
        bytes.sum()
    }

    /// Groups all records by their keys. Returns the number of records that are grouped.
    pub fn group(&self) -> usize {
        groups::group(&self.keys, &self.prefixes, &[]).of.len()
    }

    /// Divides all records into datasets. Returns the number of records in them.
    pub fn split(&self) -> usize {
        split::split(&self.corpus, &self.rules).map_or(0, |split| split.kept())
    }
}

fn request(eval_size: usize) -> DatasetRequest {
    DatasetRequest {
        input: LogSource::Stdin,
        fields: Fields::default(),
        filter: Filter::default(),
        workload_type: TypeChoice::Classification,
        labels: LabelRules::default(),
        accept_truncated: false,
        split: SplitRules { min_total_records: 50, ..SplitRules::for_tests(eval_size) },
        redact: None,
        eval_set: None,
        corrections: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_takes_every_record() {
        let line = |n: usize| {
            let user = format!("story {}", char::from(b'a' + (n % 26) as u8).to_string().repeat(n / 26 + 1));
            format!(
                "{{\"timestamp\":{n},\"workload_id\":\"w\",\"request\":{{\"messages\":[{{\"role\":\"user\",\"content\":\"{user}\"}}]}},\
                 \"response\":{{\"choices\":[{{\"message\":{{\"content\":\"[[A]]\"}}}}]}}}}"
            )
        };
        let stages = Stages::new((1..=100).map(line).collect(), 10).unwrap();
        assert_eq!((stages.records(), stages.read(false), stages.read(true)), (100, 100, 100));
        assert_eq!((stages.group(), stages.split()), (100, 100));
        assert!(stages.normal_forms() > 100 * 7);
        assert!(Stages::new(vec!["no record".to_owned()], 10).is_none());
    }
}
