//! Kinds of files, told by their first bytes: what can be unpacked, and what is named as what it is. A text is never taken for
//! something else, so short or printable marks count only with bytes that no text has.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use super::values;
use crate::source::lines::without_mark;

/// The kind of a stream by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackedKind {
    /// Not packed.
    Plain,
    /// Packed in a supported form.
    Packed(Packing),
    /// In another form, with the command that turns it into text on standard output.
    Foreign { what: &'static str, unpack: &'static str },
    /// Rows in columns, which are read from a file only.
    Parquet,
    /// A file of another kind, which holds no lines of text, and what to do about it.
    Other { what: &'static str, hint: &'static str },
}

/// A supported form of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// RFC 1952, with any number of members.
    Gzip,
    /// RFC 8878, with any number of frames.
    Zstandard,
    /// Text in UTF-16, which is unpacked to UTF-8. `None` for one that is marked with its order of bytes.
    Utf16(Option<&'static Encoding>),
    /// A JSON list of records, or records over several lines. It is unpacked to one record per line.
    Values,
}

use PackedKind::Parquet;

const fn packed(packing: Packing) -> PackedKind {
    PackedKind::Packed(packing)
}

const fn foreign(what: &'static str, unpack: &'static str) -> PackedKind {
    PackedKind::Foreign { what, unpack }
}

const fn other(what: &'static str) -> PackedKind {
    PackedKind::Other { what, hint: "export its records as JSONL, CSV or TSV" }
}

const SHEET: PackedKind = PackedKind::Other {
    what: "a document of an office program, such as an Excel sheet",
    hint: "save the sheet as CSV UTF-8 and load that",
};

const IMAGE: PackedKind = PackedKind::Other { what: "an image", hint: "look into it: it stands where a log should be" };

/// The first bytes of each form. No line of JSON and no header of a table begins with them.
const MAGIC: [(&[u8], PackedKind); 43] = [
    (b"\x1f\x8b", packed(Packing::Gzip)),
    (b"\x28\xb5\x2f\xfd", packed(Packing::Zstandard)),
    (b"\xff\xfe\x00\x00", foreign("text in UTF-32", "iconv -f UTF-32 -t UTF-8")),
    (b"\x00\x00\xfe\xff", foreign("text in UTF-32", "iconv -f UTF-32 -t UTF-8")),
    (b"\xff\xfe", packed(Packing::Utf16(None))),
    (b"\xfe\xff", packed(Packing::Utf16(None))),
    (b"\xfd7zXZ\x00", foreign("an xz file", "xz -dc")),
    (b"BZh91AY&SY", foreign("a bzip2 file", "bzip2 -dc")),
    (b"7z\xbc\xaf\x27\x1c", foreign("a 7z archive", "7z x -so")),
    (b"\x04\x22\x4d\x18", foreign("an LZ4 file", "lz4 -dc")),
    (b"\x02\x21\x4c\x18", foreign("an LZ4 file", "lz4 -dc")),
    (b"\x1f\x9d", foreign("a file of compress", "gzip -dc")),
    (b"\x5d\x00\x00", foreign("an LZMA file", "xz --format=lzma -dc")),
    (b"LZIP\x01", foreign("an lzip file", "lzip -dc")),
    (b"\xff\x06\x00\x00sNaPpY", foreign("a Snappy file", "snzip -dc")),
    (b"Rar!\x1a\x07", foreign("a RAR archive", "unrar p -inul")),
    (b"PK\x05\x06", other("an empty zip archive")),
    (b"PAR1", Parquet),
    (b"PARE", other("an encrypted Parquet file")),
    (b"ARROW1", other("an Arrow file")),
    (b"Obj\x01", other("an Avro file")),
    (b"\x89HDF\r\n\x1a\n", other("an HDF5 file")),
    (b"\x93NUMPY", other("an array of NumPy")),
    (b"\x80\x02", other("a pickle of Python")),
    (b"\x80\x03", other("a pickle of Python")),
    (b"\x80\x04", other("a pickle of Python")),
    (b"\x80\x05", other("a pickle of Python")),
    (b"RDX2\n", other("a file of R")),
    (b"RDX3\n", other("a file of R")),
    (b"SEQ\x06", other("a sequence file of Hadoop")),
    (b"SQLite format 3\x00", other("an SQLite database")),
    (b"%PDF-", other("a PDF document")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", SHEET),
    (b"\x89PNG\r\n\x1a\n", IMAGE),
    (b"\xff\xd8\xff", IMAGE),
    (b"GIF87a", IMAGE),
    (b"GIF89a", IMAGE),
    (b"\x7fELF", other("a program")),
    (b"ORC", other("an ORC file")),
    (b"FEA1", other("a Feather file")),
    (b"x\x01", ZLIB),
    (b"x\x9c", ZLIB),
    (b"x\xda", ZLIB),
];
const ZLIB: PackedKind = foreign("a zlib stream", "pigz -dc");
/// Of these the first bytes could begin a text.
const PRINTABLE: [&[u8]; 7] = [b"ORC", b"FEA1", b"x\x01", b"x\x9c", b"x\xda", b"GIF87a", b"GIF89a"];
/// Names of the first files in the documents of office programs, which are zip archives.
const OFFICE: [&[u8]; 7] =
    [b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/", b"word/", b"mimetypeapplication/", b"customXml/"];
/// Where a zip archive has the name of its first file.
const ZIP_NAME: usize = 30;
/// Where a tar archive has its mark.
const TAR_MARK: usize = 257;
/// Beginnings of texts that are no records, in lower case.
const TEXTS: [(&str, PackedKind); 4] = [
    ("<!doctype html", HTML),
    ("<html", HTML),
    ("<?xml", other("an XML document")),
    (
        "version https://git-lfs.github.com/spec/",
        PackedKind::Other { what: "a pointer of Git LFS in place of the file", hint: "git lfs pull fetches the file" },
    ),
];
const HTML: PackedKind = PackedKind::Other {
    what: "an HTML page",
    hint: "look into it: it may be the login or error page of the site that the log was to come from",
};

impl PackedKind {
    /// Returns the kind of a stream that begins with these bytes.
    pub(crate) fn of(beginning: &[u8]) -> PackedKind {
        let by_magic = MAGIC.iter().find(|(magic, _)| beginning.starts_with(magic));
        let by_magic = by_magic.filter(|(magic, _)| !PRINTABLE.contains(magic) || is_binary(beginning));
        by_magic
            .map(|(_, kind)| *kind)
            .or_else(|| zip(beginning))
            .or_else(|| tar(beginning))
            .or_else(|| arrow_stream(beginning))
            .or_else(|| wide_text(beginning))
            .or_else(|| wide_lines(beginning))
            .or_else(|| text(beginning))
            .or_else(|| is_skippable(beginning).then_some(packed(Packing::Zstandard)))
            .or_else(|| values::are_spread(beginning).then_some(packed(Packing::Values)))
            .unwrap_or(PackedKind::Plain)
    }
}

/// Returns true if bytes that no text has stand in a beginning.
fn is_binary(beginning: &[u8]) -> bool {
    beginning.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=29 | 31))
}

fn zip(beginning: &[u8]) -> Option<PackedKind> {
    let name = beginning.strip_prefix(b"PK\x03\x04").map(|_| beginning.get(ZIP_NAME..).unwrap_or_default())?;
    let is_office = OFFICE.iter().any(|first| name.starts_with(first));
    Some(if is_office { SHEET } else { foreign("a zip archive", "unzip -p") })
}

fn tar(beginning: &[u8]) -> Option<PackedKind> {
    beginning.get(TAR_MARK..)?.starts_with(b"ustar").then_some(foreign("a tar archive", "tar -xOf"))
}

/// Finds a stream of Arrow by the mark of its first message, behind which the length of a schema stands.
fn arrow_stream(beginning: &[u8]) -> Option<PackedKind> {
    let (length, _) = beginning.strip_prefix(b"\xff\xff\xff\xff")?.split_first_chunk()?;
    let is_length = (1..1 << 24).contains(&u32::from_le_bytes(*length));
    is_length.then_some(other("a stream of Arrow"))
}

/// Finds text in UTF-16 or UTF-32 without a mark by the zeros around its first characters, which are printable in every
/// log and table. UTF-8 has no zeros.
fn wide_text(beginning: &[u8]) -> Option<PackedKind> {
    let has_text_at = |width: usize, at: usize| {
        let whole = &beginning[..beginning.len().min(4 * width) / width * width];
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
        let is_unit =
            |unit: &[u8]| unit.iter().enumerate().all(|(n, byte)| if n == at { is_text(byte) } else { *byte == 0 });
        whole.len() >= 2 * width && whole.chunks(width).all(is_unit)
    };
    if has_text_at(4, 0) {
        Some(foreign("text in UTF-32", "iconv -f UTF-32LE -t UTF-8"))
    } else if has_text_at(4, 3) {
        Some(foreign("text in UTF-32", "iconv -f UTF-32BE -t UTF-8"))
    } else if has_text_at(2, 0) {
        Some(packed(Packing::Utf16(Some(UTF_16LE))))
    } else if has_text_at(2, 1) {
        Some(packed(Packing::Utf16(Some(UTF_16BE))))
    } else {
        None
    }
}

/// Finds text in UTF-16 without a mark whose first characters are of any script, by its line ends: all units are text, and at least
/// two, one of them a line feed, are ASCII.
fn wide_lines(beginning: &[u8]) -> Option<PackedKind> {
    memchr::memchr(0, beginning)?;
    let is_text = |unit_of: fn([u8; 2]) -> u16| {
        let mut units: Vec<u16> = beginning.chunks_exact(2).map(|unit| unit_of([unit[0], unit[1]])).collect();
        // Half of a pair may stand behind the beginning.
        units.pop_if(|last| matches!(last, 0xd800..=0xdbff));
        let Ok(text) = String::from_utf16(&units) else { return false };
        let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        text.contains('\n') && !text.contains(is_control) && text.chars().filter(char::is_ascii).count() > 1
    };
    if is_text(u16::from_le_bytes) {
        Some(packed(Packing::Utf16(Some(UTF_16LE))))
    } else if is_text(u16::from_be_bytes) {
        Some(packed(Packing::Utf16(Some(UTF_16BE))))
    } else {
        None
    }
}

fn text(beginning: &[u8]) -> Option<PackedKind> {
    let text = without_mark(beginning).trim_ascii_start();
    let begins = |known: &str| text.get(..known.len()).is_some_and(|text| text.eq_ignore_ascii_case(known.as_bytes()));
    TEXTS.iter().find(|(known, _)| begins(known)).map(|(_, kind)| *kind)
}

/// Returns true for a frame of Zstandard that holds no data, such as those that pzstd writes first.
fn is_skippable(beginning: &[u8]) -> bool {
    matches!(beginning, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str, width: usize, at: usize) -> Vec<u8> {
        let unit = |byte: u8| (0..width).map(move |n| if n == at { byte } else { 0 });
        text.bytes().flat_map(unit).collect()
    }

    fn what(bytes: &[u8]) -> &'static str {
        match PackedKind::of(bytes) {
            PackedKind::Foreign { what, .. } | PackedKind::Other { what, .. } => what,
            _ => "",
        }
    }

    #[test]
    fn files_of_other_kinds_are_named() {
        let tar = [&b"a.jsonl"[..], &[0; 250], b"ustar\x0000"].concat();
        let zip = |name: &[u8]| [&b"PK\x03\x04"[..], &[0; 26], name].concat();
        for (bytes, kind) in [
            (&b"\xfd7zXZ\x00\x00"[..], "an xz file"),
            (b"BZh91AY&SY..", "a bzip2 file"),
            (&zip(b"a.jsonl"), "a zip archive"),
            (&zip(b"xl/workbook.xml"), "a document of an office program, such as an Excel sheet"),
            (&zip(b"mimetypeapplication/vnd.oasis"), "a document of an office program, such as an Excel sheet"),
            (b"PK\x05\x06\0\0", "an empty zip archive"),
            (&tar, "a tar archive"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "a document of an office program, such as an Excel sheet"),
            (b"ORC\x08\x03\x10", "an ORC file"),
            (b"FEA1\0\0\0\0", "a Feather file"),
            (b"\xff\xff\xff\xff\x10\0\0\0", "a stream of Arrow"),
            (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
            (b"\x93NUMPY\x01\0", "an array of NumPy"),
            (b"\x80\x04\x95\x10", "a pickle of Python"),
            (b"Rar!\x1a\x07\0", "a RAR archive"),
            (b"\x1f\x9d\x90", "a file of compress"),
            (b"\x5d\x00\x00\x80\x00", "an LZMA file"),
            (b"x\x9c\x03\x00\x00", "a zlib stream"),
            (b"\xff\x06\x00\x00sNaPpY", "a Snappy file"),
            (b"\x89PNG\r\n\x1a\n\0", "an image"),
            (b"\xff\xd8\xff\xe0", "an image"),
            (b"\n<!DOCTYPE HTML><html>", "an HTML page"),
            (b"\xef\xbb\xbf<html lang", "an HTML page"),
            (b"<?xml version=\"1.0\"?>", "an XML document"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS in place of the file"),
            (b"SQLite format 3\x00\x10", "an SQLite database"),
            (b"%PDF-1.7", "a PDF document"),
            (b"\xff\xfe\0\0{\0\0\0", "text in UTF-32"),
            (&wide("{\"a\"", 4, 0), "text in UTF-32"),
            (&wide("text", 4, 3), "text in UTF-32"),
        ] {
            assert_eq!(what(bytes), kind, "{bytes:?}");
        }
        assert_eq!(PackedKind::of(b"PAR1\x15\x04"), Parquet);
    }

    #[test]
    fn texts_are_never_taken_for_another_kind() {
        let (little, big) = (wide("a,b\n", 2, 0), wide("a,b\n", 2, 1));
        assert_eq!(PackedKind::of(&little), packed(Packing::Utf16(Some(UTF_16LE))));
        assert_eq!(PackedKind::of(&big), packed(Packing::Utf16(Some(UTF_16BE))));
        let torn = [&[0; 64][..], b"{\"a\":1}\n"].concat();
        let torn_later = [b"{\"a\":1}\n", &[0; 64][..], b"{}\n"].concat();
        for bytes in [
            &b"BZh,text"[..],
            b"PK,text",
            b"ORC,label\n",
            b"FEA1,label\n",
            b"x\xda,label\n",
            b"GIF89a,label\n",
            b"version,label\n",
            b"<text>,label\n",
            b"\x93quoted\x94,label\n",
            b"\xff\xe9,label\n",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"{}",
            b"",
            b"a\0",
            b"{\"a\":1}\n\0",
            &torn,
            &torn_later,
            &[0; 600],
        ] {
            assert_eq!(PackedKind::of(bytes), PackedKind::Plain, "{bytes:?}");
        }
    }

    #[test]
    fn tables_in_utf_16_are_found_whatever_script_their_header_is_in() {
        for text in ["текст\tметка\nпривет\tA\n", "見出し,ラベル\n一,A\n", "標題,label\r\n一二三,A", "\u{1f600},é\n"]
        {
            let units: Vec<u16> = text.encode_utf16().collect();
            for (encoding, bytes) in [
                (UTF_16LE, units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>()),
                (UTF_16BE, units.iter().flat_map(|unit| unit.to_be_bytes()).collect()),
            ] {
                assert_eq!(PackedKind::of(&bytes), packed(Packing::Utf16(Some(encoding))), "{text}");
            }
        }
    }
}
