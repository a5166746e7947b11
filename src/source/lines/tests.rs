//! Tests of the cutter.

use super::*;

/// Reads a few bytes at a time, as a pipe may, and ends with an error if it is to.
struct Trickle<'a>(&'a [u8], Option<io::ErrorKind>);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = 7.min(buffer.len()).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        match self.1 {
            Some(kind) if count == 0 => Err(kind.into()),
            _ => Ok(count),
        }
    }
}

fn blocks(text: &[u8], max_line: usize) -> Vec<Block> {
    let mut blocks = Blocks::new(Trickle(text, None), 0).with_max_line(max_line);
    std::iter::from_fn(|| blocks.next(Vec::new()).unwrap()).collect()
}

#[test]
fn blocks_hold_whole_lines_and_their_offsets() {
    let line = "x".repeat(300_000) + "\n";
    let text = line.repeat(9) + "end";
    let all = blocks(text.as_bytes(), MAX_LINE);
    assert!(all.len() > 1);
    let mut offset = 0;
    let mut read = String::new();
    for block in &all {
        for line in block.lines() {
            assert_eq!(line.start, offset);
            assert_eq!(block.text(&line.origin(0)), line.text);
            offset = line.end;
            read.push_str(std::str::from_utf8(line.raw).unwrap());
            read.extend(line.is_ended.then_some('\n'));
        }
        assert_eq!(block.end(), offset);
    }
    assert_eq!(read, text);
    assert!(blocks(b"", MAX_LINE).is_empty());
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_not() {
    let text = format!("first\n{}\nlast\n", "y".repeat(5 << 20));
    let all = blocks(text.as_bytes(), 2 << 20);
    let lines: Vec<_> = all.iter().flat_map(Block::lines).collect();
    assert_eq!(lines.iter().map(|line| line.is_too_long).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!((lines[1].start, lines[1].end), (6, 6 + (5 << 20) + 1));
    assert_eq!((lines[1].text.len(), lines[1].origin(0).length), (SHOWN_OF_LONG, (5 << 20) + 1));
    assert_eq!((lines[2].text, lines[2].start), (&b"last"[..], 6 + (5 << 20) + 1));
}

#[test]
fn marks_and_line_ends_are_no_part_of_a_text() {
    let all = blocks("\u{feff}a\r\n\r\n\u{feff}b\nlast\r".as_bytes(), MAX_LINE);
    let lines: Vec<_> = all[0].lines().collect();
    let texts: Vec<_> = lines.iter().map(|line| std::str::from_utf8(line.text).unwrap()).collect();
    assert_eq!(texts, ["a", "", "\u{feff}b", "last"]);
    assert_eq!((lines[0].start, lines[0].offset, lines[0].end), (0, 3, 6));
    assert_eq!(lines[0].raw, "\u{feff}a\r".as_bytes());
    assert_eq!((lines[3].number, lines[3].is_ended), (4, false));
}

#[test]
fn whole_lines_before_an_error_come_first() {
    let mut blocks = Blocks::new(Trickle(b"one\ntwo\nhalf", Some(io::ErrorKind::InvalidData)), 0);
    let block = blocks.next(Vec::new()).unwrap().unwrap();
    assert_eq!(block.lines().map(|line| line.text).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(blocks.next(Vec::new()).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn lines_come_one_after_the_other_from_any_offset() {
    let text = "ab\n\n".to_owned() + &"long ".repeat(400_000) + "\nlast";
    let mut lines = Lines::new(Trickle(text.as_bytes(), None), 10);
    let mut all = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        all.push((line.number, line.start, line.end, line.text.len(), line.is_ended));
    }
    let end = 14 + 2_000_001;
    assert_eq!(
        all,
        [(1, 10, 13, 2, true), (2, 13, 14, 0, true), (3, 14, end, 2_000_000, true), (4, end, end + 4, 4, false)]
    );
}
