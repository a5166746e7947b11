//! Compressed inputs, and those in another form than UTF-8 lines: unpacks them while they are read.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::marker::PhantomData;

use encoding_rs::UTF_16LE;
use flate2::bufread::GzDecoder;

use super::damage::Damaged;
use super::decoded::Decoded;
use super::kinds::{PackedKind, Packing};
use super::values::OnePerLine;

/// Bytes that tell the kind of a stream. That of a tar archive stands behind the name of its first file.
const LOOKED_AT: u64 = 512;

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
            Packing::Utf16(encoding) => Box::new(Decoded::new(from, encoding.unwrap_or(UTF_16LE))),
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
    fn utf_16_is_read_as_text_with_a_mark_and_without() {
        let text = "{\"a\":\"\u{e9}\u{1f600}\"}\n";
        for mark in ["\u{feff}", ""] {
            let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
            let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            for bytes in [little, big] {
                let (kind, read, fault) = read(&bytes);
                assert!(matches!(kind, PackedKind::Packed(Packing::Utf16(_))) && fault.is_none());
                assert_eq!(String::from_utf8(read).unwrap().trim_start_matches('\u{feff}'), text);
            }
        }
    }

    #[test]
    fn what_was_looked_at_is_read_again() {
        for bytes in [&b"BZh91AY&SY.."[..], b"{}", b""] {
            let (_, mut whole) = look(bytes).unwrap();
            let mut rest = Vec::new();
            whole.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, bytes);
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
