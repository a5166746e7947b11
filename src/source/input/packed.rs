//! Compressed inputs, and those in another form than UTF-8 lines: recognises them by their first bytes and unpacks them
//! while they are read.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use encoding_rs_io::DecodeReaderBytes;
use flate2::bufread::GzDecoder;

use super::damage::Damaged;
use super::values::{self, OnePerLine};

/// The kind of a stream by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackedKind {
    /// Not packed.
    Plain,
    /// Packed in a supported form.
    Packed(Packing),
    /// Packed in another form, with the command that unpacks it to standard output.
    Foreign(&'static str),
    /// Rows in columns, which are read from a file only.
    Parquet,
    /// A file of another kind, which holds no lines of text: the kind, and why it is not read.
    Other(&'static str),
}

/// A supported form of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// RFC 1952, with any number of members.
    Gzip,
    /// RFC 8878, with any number of frames.
    Zstandard,
    /// Text in UTF-16, marked as such. It is unpacked to UTF-8.
    Utf16,
    /// A JSON list of records, or records over several lines. It is unpacked to one record per line.
    Values,
}

/// The first bytes of each form. No line of JSON and no header of a table begins with them.
const MAGIC: [(&[u8], PackedKind); 15] = [
    (b"\x1f\x8b", PackedKind::Packed(Packing::Gzip)),
    (b"\x28\xb5\x2f\xfd", PackedKind::Packed(Packing::Zstandard)),
    (b"\xfd7zXZ\x00", PackedKind::Foreign("xz -dc")),
    (b"BZh91AY&SY", PackedKind::Foreign("bzip2 -dc")),
    (b"PK\x03\x04", PackedKind::Foreign("unzip -p")),
    (b"7z\xbc\xaf\x27\x1c", PackedKind::Foreign("7z x -so")),
    (b"\x04\x22\x4d\x18", PackedKind::Foreign("lz4 -dc")),
    (b"\xff\xfe", PackedKind::Packed(Packing::Utf16)),
    (b"\xfe\xff", PackedKind::Packed(Packing::Utf16)),
    (b"PAR1", PackedKind::Parquet),
    (b"PARE", PackedKind::Other("an encrypted Parquet file, which is not supported")),
    (b"ARROW1", PackedKind::Other("an Arrow file, which is not supported")),
    (b"Obj\x01", PackedKind::Other("an Avro file, which is not supported")),
    (b"SQLite format 3\x00", PackedKind::Other("an SQLite database, which is not supported")),
    (b"%PDF-", PackedKind::Other("a PDF document, which is not supported")),
];

/// Bytes that tell the kind of a stream.
const LOOKED_AT: u64 = 256;

impl PackedKind {
    /// Returns the kind of a stream that begins with these bytes.
    pub(crate) fn of(beginning: &[u8]) -> PackedKind {
        match MAGIC.iter().find(|(magic, _)| beginning.starts_with(magic)) {
            Some((_, kind)) => *kind,
            None if values::are_spread(beginning) => PackedKind::Packed(Packing::Values),
            None => PackedKind::Plain,
        }
    }
}

/// A whole stream whose first bytes are known.
pub(crate) type Looked<R> = Chain<Cursor<Vec<u8>>, R>;

/// Looks at the first bytes of a stream and gives it back whole.
pub(crate) fn look<R: Read>(mut from: R) -> io::Result<(PackedKind, Looked<R>)> {
    let mut beginning = Vec::new();
    from.by_ref().take(LOOKED_AT).read_to_end(&mut beginning)?;
    Ok((PackedKind::of(&beginning), Cursor::new(beginning).chain(from)))
}

/// Returns the name of the file that is packed in a file.
pub(crate) fn inner_name(name: &str) -> &str {
    [".gz", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// Unpacks a stream while it is read.
pub(crate) struct Unpacked<'a>(Box<dyn Read + 'a>);

impl Packing {
    /// Unpacks `from`.
    pub(crate) fn unpack<'a>(self, from: impl Read + 'a) -> io::Result<Unpacked<'a>> {
        let from = BufReader::with_capacity(1 << 18, from);
        let decoder: Box<dyn Read + 'a> = match self {
            Packing::Gzip => Box::new(GzipMembers { member: Some(GzDecoder::new(from)), last: 0, begins: false }),
            Packing::Utf16 => Box::new(DecodeReaderBytes::new(from)),
            Packing::Values => Box::new(OnePerLine::new(from)),
            Packing::Zstandard => Box::new(zstd::Decoder::with_buffer(from)?),
        };
        Ok(Unpacked(decoder))
    }
}

/// The members of a gzip stream, one after the other. Zeros behind the last are padding, as tapes write it.
struct GzipMembers<R> {
    /// `None` at the end.
    member: Option<GzDecoder<R>>,
    /// The last byte that was read.
    last: u8,
    /// No byte of the member was read yet, and another member stands before it.
    begins: bool,
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Files that were joined may lack the line end between two records.
        let room = usize::from(self.begins && self.last == b'}' && buffer.len() > 1);
        while let Some(member) = &mut self.member {
            let mut count = member.read(&mut buffer[room..])?;
            if count == 0 && buffer.len() > room {
                let rest = self.member.take().map(GzDecoder::into_inner);
                self.member = rest.map(next_member).transpose()?.flatten();
                self.begins = true;
                if room == 0 && self.last == b'}' && buffer.len() > 1 {
                    return self.read(buffer);
                }
                continue;
            }
            if room == 1 && buffer[1] == b'{' {
                buffer[0] = b'\n';
                count += 1;
            } else {
                buffer.copy_within(room..room + count, 0);
            }
            self.begins = false;
            self.last = count.checked_sub(1).map_or(self.last, |last| buffer[last]);
            return Ok(count);
        }
        Ok(0)
    }
}

/// Returns the next member of a gzip stream, if one follows.
fn next_member<R: BufRead>(mut from: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let rest = match from.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            rest => rest?,
        };
        let (all, zeros) = (rest.len(), rest.iter().take_while(|byte| **byte == 0).count());
        from.consume(zeros);
        if all == 0 {
            return Ok(None);
        }
        if zeros < all {
            return Ok(Some(GzDecoder::new(from)));
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            // Errors of the system have a number. The others are the decoder's, unless a stream within found the damage.
            let is_system = error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted;
            if is_system || Damaged::of(&error).is_some() {
                return error;
            }
            Damaged::error(format!("the compressed data is cut off or damaged ({error})"))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(crate) fn zstandard(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    /// Returns the unpacked bytes and the error that follows them.
    fn read(packed: &[u8]) -> (PackedKind, Vec<u8>, Option<String>) {
        let (kind, whole) = look(packed).unwrap();
        let PackedKind::Packed(packing) = kind else { return (kind, Vec::new(), None) };
        let (mut unpacked, mut bytes) = (packing.unpack(whole).unwrap(), Vec::new());
        let fault = unpacked.read_to_end(&mut bytes).err().map(|error| Damaged::of(&error).unwrap().to_string());
        (kind, bytes, fault)
    }

    #[test]
    fn parts_that_were_packed_one_by_one_are_read_as_one() {
        for (pack, packing) in [(gzip as fn(&[u8]) -> Vec<u8>, Packing::Gzip), (zstandard, Packing::Zstandard)] {
            let parts = [pack(b"one\n"), pack(b""), pack(b"two\n")].concat();
            assert_eq!(read(&parts), (PackedKind::Packed(packing), b"one\ntwo\n".to_vec(), None));
        }
    }

    #[test]
    fn zeros_behind_the_last_member_are_padding_and_others_are_damage() {
        for zeros in [1, 511, 100_000] {
            let padded = [gzip(b"one\n"), gzip(b"two\n"), vec![0; zeros]].concat();
            assert_eq!(read(&padded), (PackedKind::Packed(Packing::Gzip), b"one\ntwo\n".to_vec(), None));
        }
        let (_, bytes, fault) = read(&[gzip(b"one\n"), vec![0; 8], b"rest".to_vec()].concat());
        assert!(bytes == b"one\n" && fault.is_some());
    }

    #[test]
    fn records_of_members_without_a_line_end_stay_apart() {
        let joined = |parts: &[&[u8]]| read(&parts.iter().flat_map(|part| gzip(part)).collect::<Vec<_>>()).1;
        assert_eq!(joined(&[b"{1}", b"{2}\n", b"{3}", b"", b"{4}"]), b"{1}\n{2}\n{3}\n{4}");
        assert_eq!(joined(&[b"{\"a\":", b"{}}", b"\n{2}"]), b"{\"a\":{}}\n{2}", "a member may end within a line");
    }

    #[test]
    fn marked_utf_16_is_read_as_text() {
        let text = "{\"a\":\"\u{e9}\u{1f600}\"}\n";
        let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [little, big] {
            let (kind, read, fault) = read(&bytes);
            assert_eq!((kind, fault), (PackedKind::Packed(Packing::Utf16), None));
            assert_eq!(String::from_utf8(read).unwrap().trim_start_matches('\u{feff}'), text);
        }
    }

    #[test]
    fn what_is_not_unpacked_here_is_told_from_text() {
        for (bytes, kind) in [
            (&b"\xfd7zXZ\x00\x00"[..], PackedKind::Foreign("xz -dc")),
            (b"BZh91AY&SY..", PackedKind::Foreign("bzip2 -dc")),
            (b"PK\x03\x04\x14", PackedKind::Foreign("unzip -p")),
            (b"PAR1\x15\x04", PackedKind::Parquet),
            (b"SQLite format 3\x00\x10", PackedKind::Other("an SQLite database, which is not supported")),
            (b"%PDF-1.7", PackedKind::Other("a PDF document, which is not supported")),
            (b"BZh,text", PackedKind::Plain),
            (b"PK,text", PackedKind::Plain),
            (b"{}", PackedKind::Plain),
            (b"", PackedKind::Plain),
        ] {
            let (found, mut whole) = look(bytes).unwrap();
            let mut rest = Vec::new();
            whole.read_to_end(&mut rest).unwrap();
            assert_eq!((found, rest.as_slice()), (kind, bytes));
        }
        assert_eq!(["a.csv.gz", "a.jsonl.zst", "a.jsonl"].map(inner_name), ["a.csv", "a.jsonl", "a.jsonl"]);
    }

    proptest! {
        #[test]
        fn what_stands_before_a_cut_is_read(text in "[a-e \n]{0,2000}", zst: bool, cut: prop::sample::Index) {
            let packed = if zst { zstandard(text.as_bytes()) } else { gzip(text.as_bytes()) };
            let (_, bytes, fault) = read(&packed[..cut.index(packed.len()).max(4)]);
            prop_assert!(text.as_bytes().starts_with(&bytes));
            prop_assert!(fault.is_some_and(|fault| fault.starts_with("the compressed data is cut off or damaged (")));
        }

        #[test]
        fn no_damage_makes_it_panic(text in "[a-e \n]{0,200}", zst: bool, at: prop::sample::Index, with: u8) {
            let mut packed = if zst { zstandard(text.as_bytes()) } else { gzip(text.as_bytes()) };
            let at = at.index(packed.len());
            packed[at] = with;
            read(&packed);
        }
    }
}
