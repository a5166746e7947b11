//! Lists what the local log store holds. Reads every record once and keeps only counts.

use std::fs::File;

use anyhow::Context;

use super::LocalStore;
use crate::data::label::LabelReader;
use crate::data::options::Filter;
use crate::source::lines::Lines;
use crate::source::listing::{ListingTally, StoreListing};

impl LocalStore {
    /// Counts the records that `filter` lets pass. `labels` reads their labels.
    pub(crate) fn list(&self, labels: &LabelReader, filter: &Filter) -> anyhow::Result<StoreListing> {
        let reading = self.read()?;
        let mut tally = ListingTally::default();
        for path in &reading.files {
            let reading = || format!("cannot read {}", path.display());
            let file = File::open(path).with_context(reading)?;
            let mut lines = Lines::new(file, 0);
            while let Some(line) = lines.next().with_context(reading)? {
                tally.take(line.text, filter, labels);
            }
        }
        Ok(tally.finish())
    }
}
