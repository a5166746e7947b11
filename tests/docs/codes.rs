//! Checks that docs/exit-codes.md lists every exit code under its name, and no other.

use std::collections::BTreeMap;

use dfwfd::error::Exit;

use crate::harness::project;
use crate::markdown::Page;

const ALL: [Exit; 9] = [
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::Service,
    Exit::Partial,
    Exit::Gate,
    Exit::Data,
    Exit::Locked,
    Exit::Cancelled,
];

/// Returns the name in the table. A new code does not compile without one.
fn name(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Failed => "failed",
        Exit::Usage => "usage",
        Exit::Service => "service",
        Exit::Partial => "partial",
        Exit::Gate => "gate",
        Exit::Data => "data",
        Exit::Locked => "locked",
        Exit::Cancelled => "cancelled",
        Exit::Child(_) => "that of the command of `serve`, told in a sentence",
    }
}

#[test]
fn the_page_lists_every_exit_code() {
    let page = Page::read(&project().join("docs/exit-codes.md"));
    let row = |line: &String| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let code: u8 = cells.next()?.parse().ok()?;
        Some((code, cells.next()?.to_owned()))
    };
    let listed: BTreeMap<u8, String> = page.prose.iter().filter_map(|(_, line)| row(line)).collect();
    let known: BTreeMap<u8, String> = ALL.iter().map(|&exit| (exit.code(), name(exit).to_owned())).collect();
    assert_eq!(listed, known);
    assert_eq!(Exit::Child(42).code(), 42);
    assert!(page.prose.iter().any(|(_, line)| line.contains("`serve -- CMD` ends with the code of CMD")));
}
