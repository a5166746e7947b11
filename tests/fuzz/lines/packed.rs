//! Compressed files that are cut, changed, joined, interleaved or padded, against `load` and `split`.

use std::io::Write as _;

use crate::harness::Folder;
use crate::lines::checks::{self, within};
use crate::lines::forms::Kind;
use crate::lines::{make, records, split_records};
use crate::mutate::Dice;
use crate::number;

/// Lines for which there is one file, and lines in it.
const LINES_PER_FILE: usize = 2000;
const LINES: usize = 60;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Packs lines in one to four parts. A few are UTF-16.
fn pack(bytes: &[u8], dice: &mut Dice) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let units = || std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let bytes: Vec<u8> = if dice.below(8) == 0 { units() } else { bytes.to_vec() };
    let pack = if dice.below(2) == 0 { gzip } else { zstandard };
    let size = bytes.len() / (1 + dice.below(4)) + 1;
    bytes.chunks(size).map(pack).collect()
}

/// Damages packed parts, or puts them together in another way.
fn damage(mut parts: Vec<Vec<u8>>, other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(parts.len());
    match dice.below(10) {
        0 => parts.swap(0, at),
        1 => parts.push(vec![0; 1 + dice.below(5000)]),
        2 => parts.push(other.to_vec()),
        3 => parts.insert(at, gzip(other)),
        4 => parts.insert(at, zstandard(other)),
        5 => {
            let middle = parts[at].len() / 2;
            let half = parts[at].split_off(middle);
            parts.insert(0, half);
        }
        6 => parts = vec![gzip(&parts.concat())],
        7 => parts.insert(at, [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat()),
        _ => {}
    }
    let mut whole = parts.concat();
    let at = dice.below(whole.len());
    match dice.below(10) {
        0 | 1 => whole.truncate(at.max(1)),
        2 => whole[at] ^= 1 << dice.below(8),
        3 => (0..8).for_each(|_| whole.insert(dice.below(whole.len()), dice.below(256) as u8)),
        4 => drop(whole.drain(at..(at + 1 + dice.below(100)).min(whole.len()))),
        _ => {}
    }
    whole
}

#[test]
fn no_packed_file_brings_load_or_split_down() {
    let (wanted, seed) = (number("DFWFD_FUZZ_LINES", 80_000), number("DFWFD_FUZZ_SEED", 1) as u64);
    let mut dice = Dice(seed);
    let (files, mut read, mut refused) = (wanted.div_ceil(LINES_PER_FILE), 0, 0);
    for _ in 0..files {
        let folder = Folder::new();
        let made = make(Kind::Records, LINES, &mut dice);
        let whole = damage(pack(&made.bytes, &mut dice), made.bytes.get(..500).unwrap_or_default(), &mut dice);
        let name = ["log.jsonl", "log.gz", "log.jsonl.zst"][dice.below(3)];
        folder.write(name, whole);
        let load = folder.dfwfd(["load", name, "--format", "json", "--rejects", "load.rejects", "--workload", "w"]);
        let loaded = within(load, true);
        checks::load(&folder, &loaded, None);
        let flags = ["--rejects", "out.rejects", "--workload", "w", "--set", "data_split_config.eval_size=1"];
        let split = folder.dfwfd(["split", "--format", "json", "--out", "out", "--logs", name]).args(flags);
        let split = within(split.args(["--set", "data_split_config.min_total_records=2"]), false);
        checks::split(&folder, "out", &split, None);
        read += usize::from(loaded.code == Some(0));
        refused += usize::from(split.code == Some(6));
    }
    println!("{files} packed files: {read} loaded, {refused} refused by split");
    assert!(read > files / 10 && refused > files / 10, "{read} of {files} were read, {refused} refused");
}

#[test]
fn a_load_keeps_the_lines_before_the_damage() {
    for pack in [gzip, zstandard] {
        let folder = Folder::new();
        let whole = [pack(records(40).as_bytes()), pack(records(400).as_bytes())].concat();
        folder.write("log.gz", &whole[..whole.len() - 9]);
        let loaded = within(folder.dfwfd(["load", "log.gz", "--format", "json", "--rejects", "load.rejects"]), false);
        loaded.code(6).says("cut off or damaged");
        split_records(&folder, "log.gz").code(6).says("cut off or damaged");
        let stored = checks::stored(&folder);
        assert!((40..400).contains(&stored), "{stored}: {loaded}");
    }
}
