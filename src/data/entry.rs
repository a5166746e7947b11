//! The 128 bytes that are remembered of a record between reading and writing, whatever its length.

use std::collections::HashMap;

use crate::data::groups::GroupKeys;
use crate::data::origin::Origin;
use crate::data::reject::Reject;
use crate::data::workload_type::WorkloadType;

/// A record that passed the filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// 0 while it is not known. Only the order of records that share their second depends on it.
    pub(crate) id: u128,
    /// Key of the messages and tools.
    pub(crate) request: u128,
    pub(crate) group: GroupKeys,
    /// Key of the tool calls of the answer.
    pub(crate) calls: u64,
    /// Whole epoch seconds.
    pub(crate) timestamp: i64,
    /// Place of its line.
    pub(crate) origin: Origin,
    /// Number of the label's spelling, or why there is none.
    pub(crate) label: ClassName,
    /// Number of the called function's name, or why there is none.
    pub(crate) tool: ClassName,
    /// Number of the client's name. 0 unless records are limited per client.
    pub(crate) client: u32,
}

/// The number of a name, or the reason that a record has none. It has half the size of a `Result`, with which an entry would
/// take 144 bytes. 16 bytes more of each of a million records have raised the peak of `split` by 11 MiB (docs/benchmarks.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClassName(u32);

impl ClassName {
    /// Packs a number or a reason. Reasons take the highest numbers.
    pub(crate) fn new(found: Result<u32, Reject>) -> ClassName {
        ClassName(found.unwrap_or_else(|reject| u32::MAX - reject as u32))
    }

    /// Returns the number or the reason.
    pub(crate) fn get(self) -> Result<u32, Reject> {
        let reject = Reject::ALL.get((u32::MAX - self.0) as usize);
        reject.map_or(Ok(self.0), |&reject| Err(reject))
    }

    /// Replaces the number.
    pub(crate) fn renumbered(self, number: impl FnOnce(u32) -> u32) -> ClassName {
        ClassName::new(self.get().map(number))
    }
}

impl AsRef<GroupKeys> for Entry {
    fn as_ref(&self) -> &GroupKeys {
        &self.group
    }
}

impl Entry {
    /// Returns the number of the name that decides the class under this type, or why the type cannot use the record.
    pub(crate) fn class_name(&self, workload_type: WorkloadType) -> Result<u32, Reject> {
        match workload_type {
            WorkloadType::Classification => self.label.get(),
            WorkloadType::ToolCalling => self.tool.get(),
            // All texts are of one class.
            WorkloadType::Text => match self.tool.get() {
                Err(Reject::NoToolCalls) => Ok(0),
                _ => Err(Reject::NotText),
            },
        }
    }
}

/// Spellings of labels, names of functions or names of clients, numbered in the order of their first appearance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<String, u32>,
    /// The names by number.
    pub(crate) list: Vec<String>,
}

impl Names {
    /// Returns the number of a name, a new one for a new name.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.list.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.list.push(name.to_owned());
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corpus::CorpusRow;

    #[test]
    fn a_record_takes_the_bytes_that_the_pages_say() {
        assert_eq!(size_of::<Entry>(), 128);
        assert_eq!(size_of::<CorpusRow>(), 48);
        let with_results = size_of::<Entry>() + 2 * (size_of::<Result<u32, Reject>>() - size_of::<ClassName>());
        assert_eq!(with_results.next_multiple_of(align_of::<Entry>()), 144);
    }
}
