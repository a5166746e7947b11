//! Compressed inputs, and those in another form than UTF-8 lines: recognises them by their first bytes and unpacks them
//! while they are read.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::marker::PhantomData;

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
            None if is_skippable(beginning) => PackedKind::Packed(Packing::Zstandard),
            None if values::are_spread(beginning) => PackedKind::Packed(Packing::Values),
            None => PackedKind::Plain,
        }
    }
}

/// Returns true for a frame of Zstandard that holds no data, such as those that pzstd writes first.
fn is_skippable(beginning: &[u8]) -> bool {
    matches!(beginning, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
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
            Packing::Gzip => Box::new(Parts::<GzDecoder<_>, _>::new(from)?),
            Packing::Utf16 => Box::new(DecodeReaderBytes::new(from)),
            Packing::Values => Box::new(OnePerLine::new(from)),
            Packing::Zstandard => Box::new(Parts::<zstd::Decoder<'_, _>, _>::new(from)?),
        };
        Ok(Unpacked(decoder))
    }
}

/// One part of a packed stream: a member of gzip, a frame of Zstandard.
trait Part<R>: Read + Sized {
    /// Begins the part at which a stream stands.
    fn begin(from: R) -> io::Result<Self>;

    /// Returns the stream behind the part, which was read to its end.
    fn end(self) -> R;
}

impl<R: BufRead> Part<R> for GzDecoder<R> {
    fn begin(from: R) -> io::Result<Self> {
        Ok(GzDecoder::new(from))
    }

    fn end(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> Part<R> for zstd::Decoder<'_, R> {
    fn begin(from: R) -> io::Result<Self> {
        Ok(zstd::Decoder::with_buffer(from)?.single_frame())
    }

    fn end(self) -> R {
        self.finish()
    }
}

/// The parts of a packed stream, one after the other. Zeros behind the last are padding, as tapes write it.
struct Parts<P, R> {
    /// `None` at the end.
    part: Option<P>,
    /// The last byte that was read.
    last: u8,
    /// No byte of the part was read yet, and another part stands before it.
    begins: bool,
    stream: PhantomData<R>,
}

impl<R: BufRead, P: Part<R>> Parts<P, R> {
    fn new(from: R) -> io::Result<Parts<P, R>> {
        Ok(Parts { part: Some(P::begin(from)?), last: 0, begins: false, stream: PhantomData })
    }
}

impl<R: BufRead, P: Part<R>> Read for Parts<P, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Files that were joined may lack the line end between two records.
        let room = usize::from(self.begins && self.last == b'}' && buffer.len() > 1);
        while let Some(part) = &mut self.part {
            let mut count = part.read(&mut buffer[room..])?;
            if count == 0 && buffer.len() > room {
                let rest = self.part.take().map(P::end);
                self.part = rest.map(next_part).transpose()?.flatten();
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

/// Begins the next part of a packed stream, if one follows.
fn next_part<R: BufRead, P: Part<R>>(mut from: R) -> io::Result<Option<P>> {
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
            return P::begin(from).map(Some);
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

    type Pack = fn(&[u8]) -> Vec<u8>;

    /// Both forms that are packed in parts.
    const IN_PARTS: [(Packing, Pack); 2] = [(Packing::Gzip, gzip), (Packing::Zstandard, zstandard)];

    #[test]
    fn zeros_behind_the_last_part_are_padding_and_others_are_damage() {
        for (packing, pack) in IN_PARTS {
            for zeros in [1, 3, 511, 1_000_000] {
                let padded = [pack(b"one\n"), pack(b"two\n"), vec![0; zeros]].concat();
                assert_eq!(read(&padded), (PackedKind::Packed(packing), b"one\ntwo\n".to_vec(), None));
            }
            for rest in [&b"rest"[..], b"{\"a\":1}\n", b"\x1f", b"\x28\xb5"] {
                for zeros in [0, 8] {
                    let (_, bytes, fault) = read(&[&pack(b"one\n"), &vec![0; zeros], rest].concat());
                    assert!(bytes == b"one\n" && fault.is_some(), "{packing:?} {rest:?}");
                }
            }
        }
    }

    #[test]
    fn records_of_parts_without_a_line_end_stay_apart() {
        for (_, pack) in IN_PARTS {
            let joined = |parts: &[&[u8]]| read(&parts.iter().flat_map(|part| pack(part)).collect::<Vec<_>>()).1;
            assert_eq!(joined(&[b"{1}", b"{2}\n", b"{3}", b"", b"{4}"]), b"{1}\n{2}\n{3}\n{4}");
            assert_eq!(joined(&[b"{\"a\":", b"{}}", b"\n{2}"]), b"{\"a\":{}}\n{2}", "a part may end within a line");
        }
    }

    #[test]
    fn frames_that_hold_no_data_are_skipped_wherever_they_stand() {
        let skipped = |kind: u8, data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_le_bytes();
            [&[kind, 0x2a, 0x4d, 0x18][..], &length, data].concat()
        };
        let (one, two) = (zstandard(b"{1}"), zstandard(b"{2}"));
        let parts =
            [skipped(0x50, b"size"), one.clone(), skipped(0x5f, &[0; 300_000]), two, skipped(0x5e, b""), vec![0; 9]];
        assert_eq!(read(&parts.concat()), (PackedKind::Packed(Packing::Zstandard), b"{1}\n{2}".to_vec(), None));
        let (_, bytes, fault) = read(&[one, skipped(0x50, b"size")[..9].to_vec()].concat());
        assert!(bytes == b"{1}" && fault.is_some(), "{fault:?}");
        assert_eq!(look(&b"P*,text"[..]).unwrap().0, PackedKind::Plain);
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
