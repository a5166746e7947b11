//! `cleanup --orphans`: what a state directory that is gone has left on the platform.

use serde_json::{Value, json};

use super::control::{Home, Platform, until};

/// Kills a run that deploys and trains. Returns its folder.
fn killed(platform: &Platform) -> Home {
    let home = Home::new(1, "8");
    let running = platform.command(&home, &["run"]).env("USER", "ann").spawn();
    until("deployment and training", || (platform.gpus_held().len() == 2).then_some(()));
    running.kill();
    home
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().map_or(&[][..], Vec::as_slice).iter().map(|one| one["kind"].as_str().unwrap()).collect()
}

#[test]
fn what_no_ledger_knows_is_listed_with_its_owner_and_given_back_only_to_it() {
    // Nobody moves its clock, so what has begun goes on.
    let platform = Platform::simulated(8);
    let lost = killed(&platform);
    let home = Home::new(1, "8");
    let as_ann = |home: &Home, arguments: &[&str]| {
        let arguments = [&["cleanup", "--orphans", "--format", "json"], arguments].concat();
        platform.command(home, &arguments).env("USER", "ann").run()
    };
    // The ledger that made them knows them.
    assert!(as_ann(&lost, &["--dry-run"]).expect(0).json().get("orphans").is_none());
    let listed = as_ann(&home, &["--dry-run"]).expect(0).json();
    let mut kinds = names(&listed["orphans"]);
    kinds.sort_unstable();
    assert_eq!(kinds, ["deployment", "training"], "{listed:#}");
    for orphan in listed["orphans"].as_array().unwrap() {
        assert!(orphan["owner"].as_str().unwrap().starts_with("ann@"), "{orphan}");
        assert!(orphan["name"].as_str().unwrap().starts_with("dfwfd-") && orphan["age_seconds"].is_u64(), "{orphan}");
    }
    // Nobody can be asked.
    as_ann(&home, &[]).expect(2).says("--yes").says("2 resources of ann@");
    let not_mine = as_ann(&home, &["--yes", "--owner", "bob@elsewhere"]).expect(0).json();
    assert_eq!((names(&not_mine["orphans"]).len(), names(&not_mine["released"]).len()), (2, 0));
    assert_eq!(platform.gpus_held().len(), 2);
    let released = as_ann(&home, &["--yes"]).expect(0).json();
    assert_eq!(names(&released["released"]).len(), 2, "{released:#}");
    assert_eq!((names(&released["held"]).len(), &released["error"]), (0, &Value::Null));
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    let table = platform.command(&home, &["cleanup", "--orphans"]).run().expect(0);
    assert!(table.stdout.contains("Nothing to release"), "{table}");
    // Its own ledger learns that they are gone.
    platform.dfwfd(&lost, &["cleanup"]).expect(0);
}

#[test]
fn what_the_ledger_takes_for_released_and_is_there_is_an_orphan_that_a_run_names() {
    let platform = Platform::simulated(8);
    let home = killed(&platform);
    let database = rusqlite::Connection::open(home.state.join("dfwfd.db")).unwrap();
    database.execute("UPDATE resources SET state = 'released', released_ms = 1", []).unwrap();
    drop(database);
    let listed = platform.dfwfd(&home, &["cleanup", "--orphans", "--dry-run", "--format", "json"]).expect(0).json();
    let mut kinds = names(&listed["orphans"]);
    kinds.sort_unstable();
    assert_eq!(kinds, ["deployment", "training"], "{listed:#}");
    // Waiting would never help.
    platform.dfwfd(&home, &["run", "--plan"]).expect(75).says("dfwfd-").says("dfwfd cleanup --orphans");
    let doctor = platform.dfwfd(&home, &["doctor"]).expect(0).stdout;
    let words: Vec<&str> = doctor.split_whitespace().collect();
    let said = words.join(" ");
    assert!(said.contains("dfwfd cleanup --orphans") && !said.contains("A run can start"), "{said}");
    platform.command(&home, &["cleanup", "--orphans", "--yes"]).env("USER", "ann").run().expect(0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    platform.dfwfd(&home, &["run", "--plan"]).expect(0);
}

#[test]
fn an_orphan_that_does_not_go_is_named() {
    let platform = Platform::simulated(8);
    drop(killed(&platform));
    platform.post("/control/faults", &json!({"fault": "DELETE /nemo/v1/deployment/**: status=403"}));
    let home = Home::new(1, "8");
    let arguments = ["cleanup", "--orphans", "--yes", "--format", "json"];
    let kept = platform.command(&home, &arguments).env("USER", "ann").run().expect(3);
    assert_eq!(names(&kept.json()["held"]), ["deployment"], "{kept}");
    kept.says("cannot release the deployment");
}

#[test]
fn a_purge_of_orphans_leaves_nothing_of_a_run_whose_ledger_is_lost() {
    let platform = Platform::start(&[]);
    let lost = Home::new(2, "8");
    let as_ann = |home: &Home, arguments: &[&str]| {
        platform.command(home, &[arguments, &["--format", "json"]].concat()).env("USER", "ann").run()
    };
    as_ann(&lost, &["run"]).expect(0);
    let made = platform.purgeable();
    assert!(made.len() > 10, "{made:?}");
    let home = Home::new(1, "8");
    // What another ledger of this machine knows is not touched.
    let kept = as_ann(&home, &["run"]).expect(0).json();
    let all = platform.purgeable();
    assert!(as_ann(&home, &["cleanup", "--orphans", "--dry-run"]).expect(0).json().get("orphans").is_none());
    let listed = as_ann(&home, &["cleanup", "--orphans", "--purge", "--dry-run"]).expect(0).json();
    let mut kinds = names(&listed["orphans"]);
    kinds.sort_unstable();
    let wanted = [&["adapter"; 2][..], &["dataset"; 2], &["evaluation"; 4], &["training_config"; 2]].concat();
    assert_eq!(kinds, wanted, "{listed:#}");
    for orphan in listed["orphans"].as_array().unwrap() {
        assert!(orphan["owner"].as_str().unwrap().starts_with("ann@") && orphan["age_seconds"].is_u64(), "{orphan}");
    }
    let not_mine = ["cleanup", "--orphans", "--purge", "--yes", "--owner", "bob@elsewhere"];
    assert_eq!(names(&as_ann(&home, &not_mine).expect(0).json()["released"]).len(), 0);
    assert_eq!(platform.purgeable(), all);
    let purged = as_ann(&home, &["cleanup", "--orphans", "--purge", "--yes"]).expect(0).json();
    assert_eq!((names(&purged["released"]).len(), names(&purged["held"]).len()), (wanted.len(), 0), "{purged:#}");
    let left = platform.purgeable();
    assert!(made.iter().all(|thing| !left.contains(thing)) && left.len() == all.len() - made.len(), "{left:?}");
    as_ann(&home, &["cleanup", kept["run"].as_str().unwrap(), "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}
