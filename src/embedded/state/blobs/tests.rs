//! Tests of the blob store, in memory and on disk.

use super::*;

fn bytes(size: usize, seed: u8) -> Bytes {
    (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

fn files(blobs: &BlobStore) -> usize {
    let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let is_content = |name: &std::ffi::OsString| name != "held";
    blobs.made_folder().map_or(0, |folder| std::fs::read_dir(folder).unwrap().map(name).filter(is_content).count())
}

#[test]
fn small_contents_need_no_folder_and_large_ones_come_back_from_files() {
    let blobs = BlobStore::temporary();
    for size in [0, 1, LARGE] {
        let kept = blobs.keep(bytes(size, 1)).unwrap();
        assert_eq!((kept.bytes().unwrap(), kept.size()), (bytes(size, 1), size as u64));
    }
    assert!(blobs.made_folder().is_none());
    let large = blobs.keep(bytes(LARGE + 1, 1)).unwrap();
    assert_eq!(large.bytes().unwrap(), bytes(LARGE + 1, 1));
    assert_eq!(large.sha256(), hex(&Sha256::digest(bytes(LARGE + 1, 1))));
    let folder = blobs.made_folder().unwrap();
    drop((blobs, large));
    assert!(!folder.exists());
}

#[test]
fn equal_contents_are_kept_once_and_go_with_their_last_holder() {
    let blobs = BlobStore::temporary();
    let one = blobs.keep(bytes(LARGE + 1, 2)).unwrap();
    let mut incoming = blobs.receive().unwrap();
    incoming.write(&bytes(LARGE + 1, 2)[..7]).unwrap();
    incoming.write(&bytes(LARGE + 1, 2)[7..]).unwrap();
    let two = blobs.adopt(incoming.finish().unwrap()).unwrap();
    assert!(Arc::ptr_eq(&one.0, &two.0));
    assert_eq!(files(&blobs), 1);
    drop(one);
    assert_eq!(blobs.sweep(), [""; 0]);
    let sha256 = two.sha256().to_owned();
    drop(two);
    assert_eq!((blobs.sweep(), files(&blobs)), (vec![sha256], 0));
}

#[test]
fn contents_that_come_again_before_the_sweep_stay() {
    let blobs = BlobStore::temporary();
    drop(blobs.keep(bytes(LARGE + 1, 3)).unwrap());
    let again = blobs.keep(bytes(LARGE + 1, 3)).unwrap();
    assert_eq!(blobs.sweep(), [""; 0]);
    assert_eq!(again.bytes().unwrap(), bytes(LARGE + 1, 3));
}

#[test]
fn what_is_dropped_half_way_leaves_nothing() {
    let blobs = BlobStore::temporary();
    let mut incoming = blobs.receive().unwrap();
    incoming.write(b"half").unwrap();
    assert_eq!(files(&blobs), 1);
    drop(incoming);
    assert_eq!(files(&blobs), 0);
    let mut incoming = blobs.receive().unwrap();
    incoming.write(b"whole").unwrap();
    drop(incoming.finish().unwrap());
    assert_eq!(files(&blobs), 0);
}

#[test]
fn a_later_life_finds_contents_and_tidies_up_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let open = || BlobStore::kept_in(folder.path().to_path_buf());
    let earlier = open();
    let large = earlier.keep(bytes(LARGE + 1, 4)).unwrap();
    let forgotten = earlier.keep(bytes(LARGE + 2, 5)).unwrap();
    std::fs::write(folder.path().join("incoming-x"), "half").unwrap();
    let (large, forgotten) = (large.sha256().to_owned(), forgotten.sha256().to_owned());
    drop(earlier);

    let later = open();
    let size = LARGE as u64 + 1;
    let found = later.find(&large, size, || None).unwrap();
    assert_eq!(found.bytes().unwrap(), bytes(LARGE + 1, 4));
    assert!(later.find(&large, 3, || None).is_some(), "it is known by now");
    assert!(later.find(&forgotten, size, || None).is_none(), "of another size");
    assert_eq!(later.find("x", 2, || Some(bytes(2, 1))).unwrap().bytes().unwrap(), bytes(2, 1));
    later.tidy().unwrap();
    assert_eq!(files(&later), 1);
}
