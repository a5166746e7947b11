//! Lists what the local log store holds. Reads every record once and keeps only counts.

use std::fs::File;
use std::io::BufReader;

use anyhow::Context;

use super::LocalStore;
use crate::data::label::LabelReader;
use crate::data::options::Filter;
use crate::source::lines::Lines;
use crate::source::listing::{ListingTally, StoreListing};

impl LocalStore {
    /// Counts the records that `filter` lets pass, reading their labels with `labels`.
    pub fn list(&self, labels: &LabelReader, filter: &Filter) -> anyhow::Result<StoreListing> {
        let reading = self.read()?;
        let mut tally = ListingTally::default();
        let mut bytes = Vec::new();
        for path in &reading.files {
            let reading = || format!("reading {}", path.display());
            let file = File::open(path).with_context(reading)?;
            let mut lines = Lines::new(BufReader::with_capacity(1 << 18, file), 0);
            while lines.next(&mut bytes).with_context(reading)?.is_some() {
                tally.take(&bytes, filter, labels);
            }
        }
        Ok(tally.finish())
    }
}
