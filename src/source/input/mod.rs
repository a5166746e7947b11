//! Inputs: files, pipes, standard input, indexes and segments of the local log store, each with a name, an order, a digest
//! and a way to read its lines again. The one place that opens and unpacks what records are read from.

pub(crate) mod damage;
mod decoded;
pub(crate) mod digest;
pub(crate) mod error;
pub(crate) mod kinds;
pub(crate) mod packed;
#[cfg_attr(not(feature = "parquet"), path = "no_parquet.rs")]
mod parquet;
pub(crate) mod redacted;
pub(crate) mod reshaped;
pub(crate) mod rewritten;
mod values;

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use decoded::Decoded;
use digest::StreamDigest;
use encoding_rs::{Encoding, UTF_8};
pub(crate) use error::InputError;
use kinds::{PackedKind, Packing};

/// Layers that are unpacked, such as a list of records in UTF-16 in a gzip file.
const MOST_LAYERS: usize = 4;

/// Something that records are read from.
pub(crate) struct Input<'s> {
    /// The name that messages and manifests show.
    pub(crate) name: PathBuf,
    /// Its lines come in the same order each time.
    pub(crate) has_order: bool,
    /// Name and version of the server of an index.
    pub(crate) server: Option<String>,
    /// A stream that can be read once; `None` for the file of the name.
    stream: Option<Box<dyn Read + 's>>,
}

impl<'s> Input<'s> {
    /// Creates an input of a file or a named pipe.
    pub(crate) fn file(path: impl Into<PathBuf>) -> Input<'s> {
        Input { name: path.into(), has_order: true, server: None, stream: None }
    }

    /// Creates an input of a stream, such as standard input.
    pub(crate) fn stream(name: impl Into<PathBuf>, stream: impl Read + 's) -> Input<'s> {
        Input { stream: Some(Box::new(stream)), ..Input::file(name) }
    }

    /// Creates an input of the documents of an index, whose order is another one each time.
    pub(crate) fn index(name: String, documents: impl Read + 's, server: String) -> Input<'s> {
        Input { has_order: false, server: Some(server), ..Input::stream(name, documents) }
    }

    /// Returns whether its lines can be read again where they stand. Those of streams, pipes and packed files cannot. A
    /// file that cannot be opened is reported when it is read.
    pub(crate) fn is_reread_in_place(&self) -> bool {
        let is_file = || std::fs::metadata(&self.name).map_or(true, |metadata| metadata.is_file());
        let is_packed = || {
            let looked = File::open(&self.name).and_then(packed::look);
            looked.is_ok_and(|(kind, _)| matches!(kind, PackedKind::Packed(_) | PackedKind::Parquet))
        };
        self.stream.is_none() && is_file() && !is_packed()
    }

    /// Opens the input.
    pub(crate) fn open(self) -> Result<OpenInput<'s>, InputError> {
        let name = self.name.display().to_string();
        if let Some(bytes) = self.stream {
            return Ok(OpenInput { bytes, ..OpenInput::new(name) });
        }
        let file = match File::open(&self.name) {
            Ok(file) => file,
            Err(source) => return Err(InputError::Open { name, source }),
        };
        let metadata = file.metadata().ok();
        if metadata.as_ref().is_some_and(Metadata::is_dir) {
            return Err(InputError::Folder { name });
        }
        let size = metadata.filter(Metadata::is_file).map(|metadata| metadata.len());
        let again = size.map(|_| self.name);
        Ok(OpenInput { size, again, bytes: Box::new(file), ..OpenInput::new(name) })
    }
}

/// An input that is open.
pub(crate) struct OpenInput<'s> {
    /// The name that messages show.
    pub(crate) name: String,
    /// Bytes of the file; `None` for a stream.
    pub(crate) size: Option<u64>,
    /// The bytes were packed.
    pub(crate) is_packed: bool,
    /// The columns of Parquet, whose rows are lines now.
    pub(crate) columns: Option<Vec<String>>,
    /// The bytes, to be read once.
    pub(crate) bytes: Box<dyn Read + 's>,
    /// The file that the bytes come from, if it can be opened again.
    again: Option<PathBuf>,
}

/// The content of a Parquet file.
struct ParquetRows {
    columns: Vec<String>,
    /// A JSON object for each row.
    lines: Box<dyn Read>,
}

impl<'s> OpenInput<'s> {
    fn new(name: String) -> OpenInput<'s> {
        OpenInput { name, size: None, is_packed: false, columns: None, bytes: Box::new(io::empty()), again: None }
    }

    /// Unpacks the bytes while they are read, if they are packed. `digest` hashes them as they stand in the input.
    /// `encoding` is that of the text, if it is not the one that the text is marked with, or UTF-8.
    pub(crate) fn unpacked(
        self,
        digest: Option<&StreamDigest>,
        encoding: Option<&'static Encoding>,
    ) -> Result<OpenInput<'s>, InputError> {
        let mut encoding = encoding.filter(|given| *given != UTF_8);
        let OpenInput { name, size, mut bytes, again, .. } = self;
        if let Some(digest) = digest {
            bytes = Box::new(digest.watch(bytes));
        }
        let mut is_packed = false;
        let failed = |error| InputError::of_read(&name, error);
        for _ in 0..MOST_LAYERS {
            let (kind, whole) = packed::look(bytes).map_err(failed)?;
            bytes = match (kind, encoding) {
                (PackedKind::Other { what, hint }, _) => {
                    let what = format!("{what}, which is not supported").into();
                    return Err(InputError::OtherKind { name, what, hint });
                }
                (PackedKind::Parquet, _) => {
                    let file = || whole_file(whole, again.filter(|_| !is_packed), digest.is_some());
                    let ParquetRows { columns, lines } = parquet::open(&name, file)?;
                    let columns = Some(columns);
                    return Ok(OpenInput { size, is_packed: true, columns, bytes: lines, ..OpenInput::new(name) });
                }
                (PackedKind::Foreign { what, unpack }, _) => return Err(InputError::Foreign { name, what, unpack }),
                (PackedKind::Packed(packing @ (Packing::Gzip | Packing::Zstandard)), _)
                | (PackedKind::Packed(packing), None) => {
                    is_packed = true;
                    Box::new(packing.unpack(whole).map_err(failed)?)
                }
                // A text that is marked as UTF-16 is read as that, whatever the others are.
                (PackedKind::Packed(_) | PackedKind::Plain, Some(given)) => {
                    encoding = None;
                    Box::new(Decoded::new(BufReader::with_capacity(1 << 18, whole), given))
                }
                (PackedKind::Plain, None) => {
                    bytes = Box::new(whole);
                    break;
                }
            };
        }
        Ok(OpenInput { size, is_packed, bytes, ..OpenInput::new(name) })
    }
}

/// Returns a file with a stream: the one that it comes from, or a temporary copy. The stream is read to its end if it is
/// hashed on the way.
fn whole_file(mut stream: impl Read, from: Option<PathBuf>, is_hashed: bool) -> io::Result<File> {
    match from {
        Some(path) => {
            if is_hashed {
                io::copy(&mut stream, &mut io::sink())?;
            }
            File::open(path)
        }
        None => {
            let mut copy = tempfile::tempfile()?;
            io::copy(&mut stream, &mut copy)?;
            Ok(copy)
        }
    }
}
