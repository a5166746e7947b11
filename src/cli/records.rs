//! Arguments of the commands that work on records, and the flags that select records.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use encoding_rs::Encoding;

/// The flags that select records.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Records")]
pub struct Records {
    /// Read these log files, or - for stdin [default: the source in the configuration]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub logs: Vec<PathBuf>,
    /// Use the records of this workload [default: the only one in the logs]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Use only records of this client; repeatable [default: all]
    #[arg(long = "client", value_name = "C")]
    pub clients: Vec<String>,
    /// Use only records from this time on: 2025-06-01, 2025-06-01T12:30:00Z, 7d for seven days ago, or last-run for the end of
    /// the newest completed run of the workload [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Use only records before this time, written as for --since [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Use only records whose answer nobody rated as bad, by their key feedback [default: all]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub feedback: Option<Feedback>,
}

/// The answers to use, by what people thought of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Feedback {
    Positive,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub struct Load {
    /// Log files, or - for stdin: JSONL with log records or chat messages, CSV, TSV
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Set the workload of rows that have none [default: such rows are rejected]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Set the client of rows that have none [default: empty]
    #[arg(long, value_name = "C")]
    pub client: Option<String>,
    /// Set the time of rows that have none: 2025-06-01, 2025-06-01T12:30:00Z or epoch seconds [default: 0]
    #[arg(long, value_name = "TIME")]
    pub timestamp: Option<String>,
    /// Read the files in this format
    #[arg(long, value_enum, default_value_t = InputFormat::Auto)]
    pub input: InputFormat,
    /// Read the export of this tool, whose fields have places of their own [default: log records]
    #[arg(long, value_enum, value_name = "TOOL", conflicts_with_all = ["text_column", "label_column", "system", "prompt"])]
    pub from: Option<Exporter>,
    /// Read the files in this encoding, such as latin1 or shift_jis [default: UTF-8, or UTF-16 if so marked]
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// Take the first row of a table as data and number its columns from 1
    #[arg(long)]
    pub no_header: bool,
    /// Cut the cells of a table at this character, or at tab [default: the most frequent of tab , ; and |]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// Take the text from this column, by name or number [default: one named text, headline, title or similar]
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,
    /// Take the label from this column, by name or number [default: one named label, class, category or similar]
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Use this system prompt for CSV rows [default: a prompt that asks for one of the labels in the file]
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Use this template for the user message of CSV rows; {text} stands for the text [default: "{text}"]
    #[arg(long, value_name = "TEMPLATE")]
    pub prompt: Option<String>,
    /// Keep at most this much of the tables of record ids in memory, and the rest in a temporary file: 512M, 4G [default: no
    /// limit]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub memory: Option<u64>,
    /// Write rejected rows to this file, with file, line and reason [default: not written]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Exit with code 6 if any row is rejected
    #[arg(long)]
    pub strict: bool,
}

/// A tool whose exports are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Exporter {
    Langfuse,
    Litellm,
    Helicone,
    Langsmith,
    Openai,
    OpenaiBatch,
}

/// The format of the files of `load`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Detect the format from name and content
    Auto,
    /// Log records or chat messages, one JSON object per line
    Jsonl,
    /// Comma-separated values with a header line
    Csv,
    /// Tab-separated values with a header line
    Tsv,
}

/// Arguments of `split`.
#[derive(Debug, Args)]
pub struct Split {
    /// Write the datasets and the manifest to this folder, which must be empty or new
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write rejected lines to this file, with file, line and reason [default: not written]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Exit with code 6 if any line is rejected
    #[arg(long)]
    pub strict: bool,
    /// Write the requests whose labels a person should check to this file, CSV or JSON lines by its ending: conflicts, labels
    /// that are not allowed, and those that a classifier doubts [default: not written]
    #[arg(long, value_name = "FILE")]
    pub review: Option<PathBuf>,
    #[command(flatten)]
    pub datasets: Datasets,
    #[command(flatten)]
    pub records: Records,
}

/// The flags that decide what datasets are made of. `run` and `split` have them.
#[derive(Debug, Args)]
pub struct Datasets {
    /// Measure on the eval rows of this run, and train on neither them nor their groups: an id, the beginning of one, or latest
    /// [default: a new eval set]
    #[arg(long, value_name = "RUN")]
    pub eval_set: Option<String>,
    /// Use the labels in this file in place of those of the answers: a review file of `dfwfd split --review` with its column
    /// correct filled in [default: labels as they were logged]
    #[arg(long, value_name = "FILE")]
    pub corrections: Option<PathBuf>,
    /// Keep at most this much of the tables of records in memory, and the rest in a temporary file: 512M, 4G [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub memory: Option<u64>,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Delete the records that --workload, --since and --until select
    #[arg(long)]
    pub delete: bool,
    /// Select only this workload [default: all]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Select only records from this time on: 2025-06-01, 2025-06-01T12:30:00Z, or 7d for seven days ago [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Select only records before this time, written as for --since [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Reads a size in bytes: a whole number, with K, M, G or T for powers of 1024.
fn memory_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        "t" | "tb" | "tib" => Some(40),
        _ => None,
    };
    let bytes = digits.parse().ok().zip(shift).and_then(|(n, shift): (u64, u32)| n.checked_mul(1 << shift));
    bytes.ok_or_else(|| "write it as 512M or 4G".to_owned())
}

/// Reads the name of an encoding.
fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes())
        .ok_or_else(|| "no encoding has this name; latin1 and shift_jis are two".to_owned())
}

/// Reads the character between cells.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("allowed is one ASCII character, or tab".to_owned()),
    }
}
