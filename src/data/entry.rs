//! What is remembered of a record between reading and writing: about 100 bytes, whatever the record's length.

use std::collections::HashMap;

use crate::data::origin::Origin;
use crate::data::reject::Reject;
use crate::data::workload_type::WorkloadType;

/// A record that passed the filter.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// 0 while it is not known. Only the order of records that share their second depends on it.
    pub id: u128,
    /// Key of the user's messages.
    pub text: u128,
    /// Key of the masked messages, equal for near-duplicates.
    pub masked: u64,
    /// Whole epoch seconds.
    pub timestamp: i64,
    /// Place of its line.
    pub origin: Origin,
    /// Number of the label's spelling, or why there is none.
    pub label: Result<u32, Reject>,
    /// Number of the called function's name, or why there is none.
    pub tool: Result<u32, Reject>,
}

impl Entry {
    /// Returns the number of the name that decides the class under this type, or why the type cannot use the record.
    pub fn class_name(&self, workload_type: WorkloadType) -> Result<u32, Reject> {
        match workload_type {
            WorkloadType::Classification => self.label,
            WorkloadType::ToolCalling => self.tool,
        }
    }
}

/// Spellings of labels and names of functions, numbered in the order of their first appearance.
#[derive(Clone, Debug, Default)]
pub struct Names {
    numbers: HashMap<String, u32>,
    /// The names by number.
    pub list: Vec<String>,
}

impl Names {
    /// Returns the number of a name, a new one for a new name.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.list.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.list.push(name.to_owned());
        number
    }
}
