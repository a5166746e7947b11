//! The real binary against real search servers: those that `DFWFD_TEST_ELASTICSEARCH_URL` names (URLs with commas between
//! them, without authentication). Without it every test counts as ignored. Each test has an index of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

#[path = "../harness/mod.rs"]
mod harness;
mod kills;
mod mappings;
mod proxy;
mod server;
mod stores;

use libtest_mimic::{Arguments, Trial};

use server::Server;

/// A test of one server.
type Case = (&'static str, fn(&Server));

const CASES: &[Case] = &[
    ("the_datasets_are_those_of_the_file", stores::the_datasets_are_those_of_the_file),
    ("records_of_one_second_come_once_each", stores::records_of_one_second_come_once_each),
    ("any_order_gives_the_same_datasets_and_digest", stores::any_order_gives_the_same_datasets_and_digest),
    ("names_of_several_indices_are_read_and_not_written", stores::names_of_several_indices_are_read_and_not_written),
    ("pages_of_a_few_long_records_hold_ties", stores::pages_of_a_few_long_records_hold_ties),
    ("a_load_killed_anywhere_is_repeated", kills::a_load_killed_anywhere_is_repeated),
    (
        "a_context_lost_at_any_page_loses_and_doubles_nothing",
        kills::a_context_lost_at_any_page_loses_and_doubles_nothing,
    ),
    #[cfg(unix)]
    ("a_reading_that_is_stopped_leaves_nothing_open", kills::a_reading_that_is_stopped_leaves_nothing_open),
    ("a_run_reads_the_index", stores::a_run_reads_the_index),
    ("logs_count_what_is_there", stores::logs_count_what_is_there),
    ("what_is_not_there_is_said", stores::what_is_not_there_is_said),
    ("documents_with_line_breaks_are_read", stores::documents_with_line_breaks_are_read),
    ("windows_are_right_on_every_mapping", mappings::windows_are_right_on_every_mapping),
    ("the_index_of_the_reference_loader_is_read", mappings::the_index_of_the_reference_loader_is_read),
    ("a_strict_index_takes_the_five_fields", mappings::a_strict_index_takes_the_five_fields),
    ("a_mapping_that_does_not_fit_is_refused", mappings::a_mapping_that_does_not_fit_is_refused),
    ("a_record_that_the_server_refuses_is_counted", mappings::a_record_that_the_server_refuses_is_counted),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // Two servers on a small machine are busy enough with one test at a time.
    arguments.test_threads.get_or_insert(1);
    let urls = std::env::var("DFWFD_TEST_ELASTICSEARCH_URL").unwrap_or_default();
    let servers: Vec<Server> = urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(Server::at).collect();
    let trials = match servers.is_empty() {
        true => CASES.iter().map(|(name, _)| Trial::test(*name, || Ok(())).with_ignored_flag(true)).collect(),
        false => {
            let of = |server: &Server, &(name, case): &Case| {
                let mine = server.for_test(name);
                let run = move || {
                    case(&mine);
                    mine.forget();
                    Ok(())
                };
                Trial::test(format!("{}::{name}", server.name), run)
            };
            servers.iter().flat_map(|server| CASES.iter().map(|case| of(server, case))).collect()
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}
