//! Runs, facts and the ledger as the rest of the crate uses them, and databases that are refused.

use super::*;
use crate::vocabulary::{PlatformId, PlatformKind, RunState};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .begin_run(&NewRun {
            id: "abcdefgh",
            workload: Some("w"),
            owner: "u@h",
            platform: PlatformKind::Embedded,
            rehearsal: false,
            plan: &7,
        })
        .unwrap();
    (dir, store)
}

fn intend(store: &Store, kind: ResourceKind, base: &str) -> Resource {
    let platform = &PlatformId::from("http://x");
    store.record_intent(&NewResource { run: "abcdefgh", candidate: Some("m"), kind, base, platform }).unwrap()
}

#[test]
fn a_run_keeps_its_plan_and_its_end() {
    let (dir, store) = store();
    assert_eq!(store.plan::<i32>("abcdefgh").unwrap(), 7);
    store.end_run("abcdefgh", RunState::Partial, 4, Some("{}")).unwrap();
    drop(store);
    let row = Store::open_existing(dir.path()).unwrap().run("abcdefgh").unwrap().unwrap();
    assert_eq!((row.state, row.exit_code, row.error.as_deref()), (RunState::Partial, Some(4), Some("{}")));
    assert!(row.ended_ms.is_some());
}

#[test]
fn a_resource_goes_from_intent_to_released() {
    let (_dir, store) = store();
    let row = intend(&store, ResourceKind::Training, "dfwfd-abcdefgh-m-train");
    assert_eq!((row.state, row.class()), (ResourceState::Intended, ResourceClass::Gpu));
    store.mark_live(row.id, Some("cust-1")).unwrap();
    let held = store.held("abcdefgh").unwrap();
    assert_eq!((held.len(), held[0].remote_id.as_deref()), (1, Some("cust-1")));
    store.mark_finished(row.id).unwrap();
    assert!(store.held("abcdefgh").unwrap().is_empty());
    assert_eq!(store.open_resources("abcdefgh").unwrap()[0].class(), ResourceClass::Record);
    store.mark_released(row.id).unwrap();
    assert!(store.open_resources("abcdefgh").unwrap().is_empty());
}

#[test]
fn a_base_model_is_shared_until_the_other_run_lets_go_of_it() {
    let (_dir, store) = store();
    let new = NewRun {
        id: "ijklmnop",
        workload: Some("w"),
        owner: "u@h",
        platform: PlatformKind::Nemo,
        rehearsal: false,
        plan: &7,
    };
    store.begin_run(&new).unwrap();
    let mine = intend(&store, ResourceKind::BaseModel, "w/m");
    assert_eq!((mine.class(), store.is_shared(&mine).unwrap()), (ResourceClass::Shared, false));
    let (platform, elsewhere) = (&PlatformId::from("http://x"), &PlatformId::from("http://y"));
    let of = |base, platform| NewResource {
        run: "ijklmnop",
        candidate: Some("m"),
        kind: ResourceKind::BaseModel,
        base,
        platform,
    };
    store.record_intent(&of("w/other", platform)).unwrap();
    store.record_intent(&of("w/m", elsewhere)).unwrap();
    assert!(!store.is_shared(&mine).unwrap(), "another model, and another platform");
    let theirs = store.record_intent(&of("w/m", platform)).unwrap();
    store.mark_live(theirs.id, Some("w/m")).unwrap();
    assert!(store.is_shared(&mine).unwrap());
    store.mark_released(theirs.id).unwrap();
    assert!(!store.is_shared(&mine).unwrap());
}

#[test]
fn another_attempt_gets_another_name() {
    let (_dir, store) = store();
    let first = intend(&store, ResourceKind::TrainingConfig, "c@v1");
    store.mark_released(first.id).unwrap();
    let second = intend(&store, ResourceKind::TrainingConfig, "c@v1");
    assert_eq!((first.name.as_str(), second.name.as_str()), ("c@v1", "c-2@v1"));
    assert_eq!(store.open_resource("abcdefgh", ResourceKind::TrainingConfig, "c@v1").unwrap(), Some(second));
    let names = |candidate| store.base_names("abcdefgh", ResourceKind::TrainingConfig, candidate).unwrap();
    assert_eq!((names("m"), names("other")), (vec!["c@v1".to_owned(); 2], Vec::new()));
}

#[test]
fn looking_in_vain_remembers_the_first_time() {
    let (_dir, store) = store();
    let row = intend(&store, ResourceKind::Deployment, "d");
    let first = store.record_vain_lookup(row.id).unwrap();
    assert_eq!(store.record_vain_lookup(row.id).unwrap(), first);
    store.mark_live(row.id, None).unwrap();
    assert_eq!(store.open_resources("abcdefgh").unwrap()[0].looked_ms, None);
}

#[test]
fn facts_are_remembered_by_key() {
    let (_dir, store) = store();
    assert_eq!(store.fact::<u32>("abcdefgh", "k").unwrap(), None);
    store.remember("abcdefgh", "k", &1).unwrap();
    store.remember("abcdefgh", "k", &2).unwrap();
    assert_eq!(store.fact::<u32>("abcdefgh", "k").unwrap(), Some(2));
    let damaged = store.fact::<String>("abcdefgh", "k").unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }));
}

#[test]
fn items_that_are_added_to_a_list_at_the_same_time_all_stay() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for task in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for item in 0..20 {
                    assert!(store.add_to_list("abcdefgh", "l", &format!("{task} {item}")).unwrap());
                }
            });
        }
    });
    assert!(!store.add_to_list("abcdefgh", "l", "7 19").unwrap());
    assert_eq!(store.fact::<Vec<String>>("abcdefgh", "l").unwrap().unwrap().len(), 160);
}

#[test]
fn a_newer_schema_is_refused() {
    let (dir, store) = store();
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    raw.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    drop(raw);
    assert!(matches!(Store::open(dir.path()).unwrap_err(), StoreError::Newer { .. }));
}

#[test]
fn a_missing_or_broken_database_is_an_error_not_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_existing(dir.path()).unwrap_err(), StoreError::Missing { .. }));
    std::fs::write(dir.path().join(FILE), b"this is no database, whatever its name says it would be").unwrap();
    assert!(matches!(Store::open(dir.path()).unwrap_err(), StoreError::Sqlite { .. }));
}

#[test]
fn cancelling_is_seen_and_forgotten_on_resume() {
    let (_dir, store) = store();
    store.ask_to_cancel("abcdefgh").unwrap();
    assert!(store.cancel_asked("abcdefgh").unwrap());
    store.continue_run("abcdefgh").unwrap();
    assert!(!store.cancel_asked("abcdefgh").unwrap());
}
