//! Text in another encoding than UTF-8, decoded while it is read. What cannot be decoded becomes a byte that no UTF-8 text has, so
//! its line is refused like any other that is no text.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding};

/// The byte that stands for what cannot be decoded.
const NO_TEXT: u8 = 0xff;
/// Bytes that are decoded at once, at most.
const ROOM: usize = 1 << 16;

/// A stream in UTF-8, made of one in another encoding.
pub(super) struct Decoded<R> {
    from: R,
    decoder: Decoder,
    /// Room for decoded bytes, of which those from `at` to `filled` are to be handed out.
    decoded: Vec<u8>,
    at: usize,
    filled: usize,
    is_at_end: bool,
}

impl<R: BufRead> Decoded<R> {
    /// Decodes `from`. A mark of the byte order stands above the encoding.
    pub(super) fn new(from: R, encoding: &'static Encoding) -> Decoded<R> {
        Decoded {
            from,
            decoder: encoding.new_decoder(),
            decoded: vec![0; ROOM + 1],
            at: 0,
            filled: 0,
            is_at_end: false,
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        let read = self.from.fill_buf()?;
        let is_last = read.is_empty();
        let room = &mut self.decoded[..ROOM];
        let (result, used, made) = self.decoder.decode_to_utf8_without_replacement(read, room, is_last);
        self.from.consume(used);
        (self.at, self.filled) = (0, made);
        match result {
            DecoderResult::Malformed(..) => {
                self.decoded[made] = NO_TEXT;
                self.filled += 1;
            }
            DecoderResult::InputEmpty => self.is_at_end = is_last,
            DecoderResult::OutputFull => {}
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.filled && !self.is_at_end {
            self.decode()?;
        }
        let count = buffer.len().min(self.filled - self.at);
        buffer[..count].copy_from_slice(&self.decoded[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use encoding_rs::{SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1252};

    use super::*;

    fn decoded(bytes: &[u8], encoding: &'static Encoding, room: usize) -> Vec<u8> {
        let mut decoded = Vec::new();
        Decoded::new(BufReader::with_capacity(room, bytes), encoding).read_to_end(&mut decoded).unwrap();
        decoded
    }

    #[test]
    fn texts_are_decoded_however_they_are_cut() {
        let long = "a\u{e9}\u{3042}\u{1f600}\n".repeat(9_000);
        let little: Vec<u8> = long.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked: Vec<u8> = [0xfe, 0xff].into_iter().chain(long.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        for room in [1, 3, 1 << 18] {
            assert_eq!(decoded(&little, UTF_16LE, room), long.as_bytes());
            assert_eq!(decoded(&marked, UTF_16LE, room), long.as_bytes(), "the mark tells the order");
            assert_eq!(decoded(b"caf\xe9 \x80", WINDOWS_1252, room), "caf\u{e9} \u{20ac}".as_bytes());
            assert_eq!(decoded(b"", SHIFT_JIS, room), b"");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_no_text() {
        for room in [1, 3, 99] {
            assert_eq!(decoded(b"a\x82\nb\n", SHIFT_JIS, room), b"a\xff\nb\n");
            assert_eq!(decoded(&[0, b'a', 0xd8, 0, 0, b'b'], UTF_16BE, room), b"a\xffb");
            assert_eq!(decoded(&[b'a', 0, b'b'], UTF_16LE, room), b"a\xff", "half a unit at the end");
        }
    }
}
