//! `run` on the shipped data.

use crate::harness::{Folder, Server};

#[test]
fn harness_works() {
    let server = Server::start(&["--control"]);
    assert_eq!(server.get("/control/calls").0, 200);
    let folder = Folder::shipped();
    let out = folder.dfwfd(["split", "--out", "d", "--format", "json"]).run();
    out.code(0).json();
}
