//! Runs the binary against real search servers. `DFWFD_TEST_ELASTICSEARCH_URL` names servers without authentication
//! (comma-separated URLs), and `DFWFD_TEST_ELASTICSEARCH_TLS` one with TLS and a password. Without a server its tests are
//! skipped. Each test has an index of its own. Faults are tested on a fake server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

mod documented;
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod kills;
mod listing;
mod mappings;
#[path = "../harness/proxy.rs"]
mod proxy;
mod server;
mod shapes;
mod sources;
mod stores;
mod tls;

use libtest_mimic::{Arguments, Trial};

use server::Server;
use tls::Secured;

/// Pairs each test with its name.
macro_rules! named {
    ($($module:ident::$test:ident),* $(,)?) => {
        &[$((stringify!($test), $module::$test)),*]
    };
}

/// The name and function of a test.
type Case<T> = (&'static str, fn(&T));

/// Tests of one server.
const CASES: &[Case<Server>] = named![
    stores::the_datasets_are_those_of_the_file,
    stores::records_of_one_second_come_once_each,
    stores::any_order_gives_the_same_datasets_and_digest,
    stores::names_of_several_indices_are_read_and_not_written,
    stores::pages_of_a_few_long_records_hold_ties,
    kills::a_load_killed_anywhere_is_repeated,
    kills::a_context_lost_at_any_page_loses_and_doubles_nothing,
    kills::a_reading_that_is_stopped_leaves_nothing_open,
    stores::a_run_reads_the_index,
    stores::runs_are_documents_of_an_index,
    stores::logs_count_what_is_there,
    stores::what_is_not_there_is_said,
    stores::documents_with_line_breaks_are_read,
    documented::the_index_that_load_makes_is_the_documented_one,
    documented::the_documented_program_writes_records,
    mappings::windows_of_dates_without_a_format,
    mappings::windows_of_dates_with_a_format,
    mappings::windows_of_numbers_and_names,
    mappings::times_that_cannot_be_told_are_refused,
    mappings::the_index_of_the_reference_loader_is_read,
    mappings::a_strict_index_takes_the_five_fields,
    mappings::a_mapping_that_does_not_fit_is_refused,
    mappings::a_record_that_the_server_refuses_is_counted,
    sources::an_index_that_loses_the_order_of_messages_is_refused,
    listing::counts_are_exact_and_those_of_the_local_store,
    listing::names_that_the_index_does_not_hold_are_counted_by_reading,
    shapes::documents_of_another_shape_are_read,
    shapes::fields_that_queries_do_not_reach_are_looked_at_here,
    shapes::a_field_that_is_nowhere_is_said,
];

/// Tests of a server with TLS and a password.
const SECURED: &[Case<Secured>] = named![
    tls::a_url_with_a_password_and_an_authority_open_the_server,
    tls::named_variables_open_the_server,
    tls::without_a_password_access_is_refused,
    tls::an_authority_that_is_not_known_is_said_with_its_remedy,
    tls::plain_http_is_not_what_it_speaks,
];

/// Tests that need no server.
const FAULTS: &[(&str, fn())] = named![
    faults::a_refusal_names_what_opens_the_server,
    faults::an_api_key_is_sent_and_never_shown,
    faults::a_path_in_front_of_the_server_is_kept,
    faults::something_else_is_told_from_a_search_server,
    faults::an_index_that_is_not_all_there_is_refused,
    faults::faults_while_loading_are_borne_or_counted,
    faults::a_mapping_that_is_wrong_and_an_error_of_the_server_are_said,
];

fn main() {
    let mut arguments = Arguments::from_args();
    // One test at a time keeps two servers on a small machine busy.
    arguments.test_threads.get_or_insert(1);
    let urls = std::env::var("DFWFD_TEST_ELASTICSEARCH_URL").unwrap_or_default();
    let secured = std::env::var("DFWFD_TEST_ELASTICSEARCH_TLS").unwrap_or_default();
    let listing = arguments.list;
    let mut trials: Vec<Trial> = FAULTS.iter().map(|(name, case)| trial(format!("fake::{name}"), *case)).collect();
    let urls: Vec<&str> = urls.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
    for server in urls.iter().filter(|_| !listing).map(|url| Server::at(url)) {
        for (name, case) in CASES {
            let mine = server.for_test(name);
            let run = move || {
                case(&mine);
                mine.forget();
            };
            trials.push(trial(format!("{}::{name}", server.name), run));
        }
    }
    if urls.is_empty() {
        trials.extend(CASES.iter().map(|(name, _)| skipped(name, "servers", "DFWFD_TEST_ELASTICSEARCH_URL")));
    }
    for (name, case) in SECURED {
        trials.push(match secured.is_empty() {
            true => skipped(name, "servers", "DFWFD_TEST_ELASTICSEARCH_TLS"),
            false => {
                let mine = Secured::of(&secured);
                trial(format!("tls::{name}"), move || case(&mine))
            }
        });
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: String, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

/// Creates a test that is skipped for lack of a server.
fn skipped(name: &'static str, need: &'static str, variable: &str) -> Trial {
    let reason = format!("{variable} names no search server");
    trial(format!("none::{name}"), move || harness::skip(name, need, &reason))
}
