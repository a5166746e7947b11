//! Compressed inputs: recognises them by their first bytes and unpacks them while they are read.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// The kind of a stream by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackedKind {
    /// Not packed.
    Plain,
    /// Packed in a supported form.
    Packed(Packing),
    /// Packed in another form, with the command that unpacks it to standard output.
    Foreign(&'static str),
}

/// A supported form of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// RFC 1952, with any number of members.
    Gzip,
    /// RFC 8878, with any number of frames.
    Zstandard,
}

/// The first bytes of each form. No line of JSON and no header of a table begins with them.
const MAGIC: [(&[u8], PackedKind); 5] = [
    (b"\x1f\x8b", PackedKind::Packed(Packing::Gzip)),
    (b"\x28\xb5\x2f\xfd", PackedKind::Packed(Packing::Zstandard)),
    (b"\xfd7zXZ\x00", PackedKind::Foreign("xz -dc")),
    (b"BZh91AY&SY", PackedKind::Foreign("bzip2 -dc")),
    (b"PK\x03\x04", PackedKind::Foreign("unzip -p")),
];

/// Length of the longest of them.
const LONGEST: u64 = 10;

impl PackedKind {
    /// Returns the kind of a stream that begins with these bytes.
    pub(crate) fn of(beginning: &[u8]) -> PackedKind {
        MAGIC.iter().find(|(magic, _)| beginning.starts_with(magic)).map_or(PackedKind::Plain, |(_, kind)| *kind)
    }
}

/// A whole stream whose first bytes are known.
pub(crate) type Looked<R> = Chain<Cursor<Vec<u8>>, R>;

/// Looks at the first bytes of a stream and gives it back whole.
pub(crate) fn look<R: Read>(mut from: R) -> io::Result<(PackedKind, Looked<R>)> {
    let mut beginning = Vec::new();
    from.by_ref().take(LONGEST).read_to_end(&mut beginning)?;
    Ok((PackedKind::of(&beginning), Cursor::new(beginning).chain(from)))
}

/// Returns the name of the file that is packed in a file.
pub(crate) fn inner_name(name: &str) -> &str {
    [".gz", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// Unpacks a stream while it is read.
pub(crate) struct Unpacked<'a>(Box<dyn Read + 'a>);

/// Says that a stream ends too early or was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the compressed data is cut off or damaged ({0})")]
pub(crate) struct Damaged(String);

impl Damaged {
    /// Returns the damage that an error of [`Unpacked`] reports, unless it is an error of the system.
    pub(crate) fn of(error: &io::Error) -> Option<&Damaged> {
        error.get_ref()?.downcast_ref()
    }
}

impl Packing {
    /// Unpacks `from`.
    pub(crate) fn unpack<'a>(self, from: impl Read + 'a) -> io::Result<Unpacked<'a>> {
        let from = BufReader::with_capacity(1 << 18, from);
        let decoder: Box<dyn Read + 'a> = match self {
            Packing::Gzip => Box::new(MultiGzDecoder::new(from)),
            Packing::Zstandard => Box::new(zstd::Decoder::with_buffer(from)?),
        };
        Ok(Unpacked(decoder))
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            // Errors of the system have a number. The others are the decoder's.
            let is_decoder = error.raw_os_error().is_none() && error.kind() != io::ErrorKind::Interrupted;
            if is_decoder { io::Error::new(io::ErrorKind::InvalidData, Damaged(error.to_string())) } else { error }
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
    fn what_is_not_unpacked_here_is_told_from_text() {
        for (bytes, kind) in [
            (&b"\xfd7zXZ\x00\x00"[..], PackedKind::Foreign("xz -dc")),
            (b"BZh91AY&SY..", PackedKind::Foreign("bzip2 -dc")),
            (b"PK\x03\x04\x14", PackedKind::Foreign("unzip -p")),
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
