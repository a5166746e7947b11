//! The allocator of the process. Once the large tables of a command need more memory than `--memory` allows, it places further
//! ones in a file without a name, of which the system keeps in memory what fits.
//!
//! So no code that works on tables has to know of the limit, and results cannot depend on it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::Context as _;
use rustix::fs::FallocateFlags;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

/// Allocations below this size do not count. Lines are read into smaller ones, tables are larger.
const TABLE: usize = 1 << 20;
/// The addresses that are kept for tables. Each is used once, so it is far more than any disk.
const ADDRESSES: usize = 1 << 44;
/// Pages of all sizes in use divide it.
const PAGE: usize = 1 << 16;

#[global_allocator]
static ALLOCATOR: Tables =
    Tables { in_memory: AtomicUsize::new(0), limit: AtomicUsize::new(usize::MAX), file: OnceLock::new() };

/// Lets the tables of this process take `bytes` of memory; `None` sets no limit. What they need beyond it lies in a file in
/// `folder`, which has no name and goes with the process.
///
/// # Errors
/// The folder takes no such file, or the process may not have enough addresses. There is no limit then.
pub(crate) fn limit_tables(bytes: Option<u64>, folder: &Path) -> anyhow::Result<()> {
    let Some(bytes) = bytes else { return Ok(()) };
    let file = TableFile::create(folder)
        .with_context(|| format!("cannot make room for tables in {} (--memory)", folder.display()))?;
    // A process runs one command. A second limit changes the size, not the file.
    ALLOCATOR.file.get_or_init(|| file);
    ALLOCATOR.limit.store(usize::try_from(bytes).unwrap_or(usize::MAX), Relaxed);
    Ok(())
}

/// Returns true if a table was placed in the file.
pub(crate) fn was_exceeded() -> bool {
    ALLOCATOR.file.get().is_some_and(|file| file.next.load(Relaxed) > 0)
}

struct Tables {
    /// Bytes of the tables in memory.
    in_memory: AtomicUsize,
    limit: AtomicUsize,
    file: OnceLock<TableFile>,
}

/// A file and the addresses at which it stands: the table at address `start + n` has its bytes at offset `n`.
struct TableFile {
    file: File,
    start: usize,
    /// Offset of the next table.
    next: AtomicUsize,
}

impl Tables {
    /// Counts a table that is to be placed in memory. Returns the file instead if the limit is reached.
    fn claim(&self, size: usize) -> Option<&TableFile> {
        let is_over = self.in_memory.fetch_add(size, Relaxed).saturating_add(size) > self.limit.load(Relaxed);
        self.file.get().filter(|_| is_over)
    }

    /// Places a table by `in_memory` or in the file. A full disk is no reason to fail while there is memory.
    fn place(&self, size: usize, in_memory: impl FnOnce() -> *mut u8) -> *mut u8 {
        if size < TABLE {
            return in_memory();
        }
        let placed = self.claim(size).map_or(null_mut(), |file| file.place(size));
        if !placed.is_null() {
            self.in_memory.fetch_sub(size, Relaxed);
            return placed;
        }
        let placed = in_memory();
        if placed.is_null() {
            self.in_memory.fetch_sub(size, Relaxed);
        }
        placed
    }

    fn file_of(&self, table: *mut u8) -> Option<&TableFile> {
        self.file.get().filter(|file| file.holds(table))
    }
}

// SAFETY: memory comes from `System`, or from a mapping that no other table shares. `TableFile::holds` tells by the address who
// takes it back, and nothing here allocates.
unsafe impl GlobalAlloc for Tables {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.place(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // A new part of a file reads as zeros.
        self.place(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, table: *mut u8, layout: Layout) {
        if layout.size() >= TABLE {
            if let Some(file) = self.file_of(table) {
                return file.remove(table, layout.size());
            }
            self.in_memory.fetch_sub(layout.size(), Relaxed);
        }
        unsafe { System.dealloc(table, layout) }
    }

    unsafe fn realloc(&self, table: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let is_small = layout.size() < TABLE && size < TABLE;
        let grows = size.saturating_sub(layout.size());
        let stays = is_small
            || (self.file_of(table).is_none()
                && self.in_memory.load(Relaxed).saturating_add(grows) <= self.limit.load(Relaxed));
        if stays {
            let moved = unsafe { System.realloc(table, layout, size) };
            if !moved.is_null() {
                let counted = |size: usize| if size < TABLE { 0 } else { size };
                self.in_memory.fetch_add(counted(size), Relaxed);
                self.in_memory.fetch_sub(counted(layout.size()), Relaxed);
            }
            return moved;
        }
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            unsafe {
                moved.copy_from_nonoverlapping(table, layout.size().min(size));
                self.dealloc(table, layout);
            }
        }
        moved
    }
}

impl TableFile {
    fn create(folder: &Path) -> std::io::Result<TableFile> {
        let file = tempfile::tempfile_in(folder)?;
        // SAFETY: the system chooses addresses that nothing uses, and they can be neither read nor written.
        let start = unsafe {
            mmap_anonymous(null_mut(), ADDRESSES, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
        }?;
        Ok(TableFile { file, start: start as usize, next: AtomicUsize::new(0) })
    }

    fn holds(&self, table: *mut u8) -> bool {
        (table as usize).wrapping_sub(self.start) < ADDRESSES
    }

    /// Places a table behind all others. Returns null if there is no room for it.
    fn place(&self, size: usize) -> *mut u8 {
        let size = size.next_multiple_of(PAGE);
        let at = self.next.fetch_add(size, Relaxed);
        let has_room = at.checked_add(size).is_some_and(|end| end <= ADDRESSES);
        // Blocks that are there cannot be missing when the table is written, which would kill the process.
        let is_there =
            has_room && rustix::fs::fallocate(&self.file, FallocateFlags::empty(), at as u64, size as u64).is_ok();
        if !is_there {
            return null_mut();
        }
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: these addresses are ours, and `next` gives each to one table only.
        let placed = unsafe {
            mmap((self.start + at) as *mut _, size, ProtFlags::READ | ProtFlags::WRITE, flags, &self.file, at as u64)
        };
        placed.map_or(null_mut(), <*mut _>::cast)
    }

    /// Gives the memory and the blocks of a table back.
    fn remove(&self, table: *mut u8, size: usize) {
        let size = size.next_multiple_of(PAGE);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the table is no longer used, and its addresses are never used again.
        let _ = unsafe { mmap_anonymous(table.cast(), size, ProtFlags::empty(), flags) };
        let at = (table as usize - self.start) as u64;
        let _ =
            rustix::fs::fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, size as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const SIZE: usize = 3 * TABLE + 5;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    /// Returns an allocator with a limit and its folder.
    fn limited(limit: usize) -> (Tables, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = TableFile::create(folder.path()).unwrap();
        (Tables { in_memory: AtomicUsize::new(0), limit: AtomicUsize::new(limit), file: file.into() }, folder)
    }

    fn blocks(tables: &Tables) -> u64 {
        tables.file.get().unwrap().file.metadata().unwrap().blocks()
    }

    fn fill(table: *mut u8, size: usize) {
        (0..size).for_each(|at| unsafe { table.add(at).write(at as u8 ^ (at >> 8) as u8) });
    }

    fn is_filled(table: *mut u8, size: usize) -> bool {
        (0..size).all(|at| unsafe { table.add(at).read() } == at as u8 ^ (at >> 8) as u8)
    }

    #[test]
    fn tables_beyond_the_limit_lie_in_a_file_until_they_are_freed() {
        let (tables, folder) = limited(4 * TABLE);
        let in_memory = unsafe { tables.alloc(layout(SIZE)) };
        let in_file = unsafe { tables.alloc_zeroed(layout(SIZE)) };
        assert!(tables.file_of(in_memory).is_none() && tables.file_of(in_file).is_some());
        assert!((0..SIZE).all(|at| unsafe { in_file.add(at).read() } == 0));
        fill(in_file, SIZE);
        assert!(is_filled(in_file, SIZE) && blocks(&tables) > 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
        unsafe { tables.dealloc(in_file, layout(SIZE)) };
        assert_eq!((blocks(&tables), tables.in_memory.load(Relaxed)), (0, SIZE));
        unsafe { tables.dealloc(in_memory, layout(SIZE)) };
        assert_eq!(tables.in_memory.load(Relaxed), 0);
    }

    #[test]
    fn a_table_keeps_its_bytes_while_it_grows_and_shrinks_over_the_limit() {
        let (tables, _folder) = limited(4 * TABLE);
        let mut size = 1000;
        let mut table = unsafe { tables.alloc(layout(size)) };
        fill(table, size);
        for (next, is_in_file) in
            [(TABLE, false), (SIZE, false), (2 * SIZE, true), (5 * SIZE, true), (SIZE, false), (64, false)]
        {
            table = unsafe { tables.realloc(table, layout(size), next) };
            assert!(is_filled(table, size.min(next)), "from {size} to {next}");
            assert_eq!(tables.file_of(table).is_some(), is_in_file, "from {size} to {next}");
            fill(table, next);
            size = next;
        }
        unsafe { tables.dealloc(table, layout(size)) };
        assert_eq!((blocks(&tables), tables.in_memory.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_file_that_takes_no_more_leaves_tables_in_memory() {
        let (tables, _folder) = limited(0);
        tables.file.get().unwrap().next.store(ADDRESSES - TABLE, Relaxed);
        let table = unsafe { tables.alloc(layout(SIZE)) };
        assert!(!table.is_null() && tables.file_of(table).is_none());
        unsafe { tables.dealloc(table, layout(SIZE)) };
        assert_eq!(tables.in_memory.load(Relaxed), 0);
    }
}
