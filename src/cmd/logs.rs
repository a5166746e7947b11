//! `dfwfd logs`: lists what the log store holds, and deletes from it.

use tokio_util::sync::CancellationToken;

use super::interruptible::AtSignal;
use crate::cli::{Global, Logs};
use crate::config::{self, Invocation, Need};
use crate::data::label::LabelReader;
use crate::data::options::{Filter, LogSource};
use crate::error::{Exit, Fault};
use crate::report::json::SCHEMA;
use crate::report::json::{LogList, LogRow};
use crate::report::lists;
use crate::report::text::{count, counted};
use crate::source::listing::WorkloadListing;
use crate::source::local::LocalStore;
use crate::source::log_store::LogStore;
use crate::ui::Ui;

/// Lists the log store, or deletes what the flags select.
pub(super) async fn run(global: &Global, args: &Logs, ui: &Ui) -> anyhow::Result<Exit> {
    let plan = config::load(&Invocation {
        workload: args.workload.clone(),
        since: args.since.clone(),
        until: args.until.clone(),
        ..super::invocation(global, Need::Settings)
    })?;
    super::trace::start(global.verbose, plan.log_level, ui);
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    let (store, credentials) = (LocalStore::at(plan.state_dir.join("logs")), super::credentials_of(&plan));
    let target = super::log_store(&plan.data.input, &store, &credentials);
    let filter = &plan.data.filter;
    if args.delete {
        return delete(target, filter, ui);
    }
    let labels = LabelReader::new(&plan.data.labels)
        .map_err(|problem| Fault::new(Exit::Usage, format!("cannot use label_pattern: {problem}")))?;
    let (input, wanted) = (plan.data.input.clone(), filter.clone());
    let (there, opening) = (store.clone(), credentials.clone());
    let counting = move |cancel: &CancellationToken| {
        let target = super::log_store(&input, &there, &opening);
        target.list(&labels, &wanted, cancel)
    };
    let contents = super::interruptible::run(
        AtSignal::ClosesIndex(&plan.data.input),
        "dfwfd logs counts again from the beginning",
        counting,
    )
    .await?;
    let rows: Vec<LogRow> = contents.workloads.into_iter().map(row).collect();
    if rows.is_empty() && *filter != Filter::default() {
        ui.result("No record in the log store matches.");
    } else {
        ui.result(&lists::logs(&rows, ui.width(), ui.color()));
    }
    if let Some(server) = &contents.server {
        ui.note(&format!("listed from {server}"));
    }
    if contents.unreadable > 0 {
        let lines = counted(contents.unreadable, "line");
        let store = match target {
            LogStore::Local(store) => store.dir().display().to_string(),
            LogStore::Elasticsearch(at, _) => at.to_string(),
        };
        ui.warn(&format!("{lines} of the log store {store} cannot be read as records"));
    }
    if matches!(plan.data.input, LogSource::Files(_)) {
        ui.note("runs do not read the log store: they read the files of logs.path");
        ui.hint("`dfwfd run --plan` counts their records");
    } else if rows.is_empty() && *filter == Filter::default() {
        ui.hint("`dfwfd load FILE` adds the records of a file");
    }
    ui.json(&LogList { schema: SCHEMA, workloads: rows });
    Ok(Exit::Done)
}

fn delete(target: LogStore<'_>, filter: &Filter, ui: &Ui) -> anyhow::Result<Exit> {
    if filter.workload.is_none() && filter.since.is_none() && filter.until.is_none() {
        return Err(Fault::new(Exit::Usage, "cannot delete records: no flag selects them")
            .hint("select them with --workload, --since or --until, such as dfwfd logs --delete --workload NAME")
            .into());
    }
    let store = match target {
        LogStore::Local(store) => store,
        LogStore::Elasticsearch(at, _) => {
            let Some(line) = target.deletion(filter)? else {
                let why = format!("cannot select these records in {at}: its mapping does not allow it");
                return Err(Fault::new(Exit::Usage, why).hint("delete them with a query of your own").into());
            };
            ui.note("dfwfd does not delete records of an index; this command does:");
            ui.result(&line);
            ui.json(&serde_json::json!({"schema": SCHEMA, "command": line}));
            return Ok(Exit::Done);
        }
    };
    let deleted = store.delete(filter)?;
    ui.result(&format!("{} deleted, {} kept.", counted(deleted.records, "record"), count(deleted.kept)));
    ui.json(&serde_json::json!({"schema": SCHEMA, "deleted": deleted.records, "kept": deleted.kept}));
    Ok(Exit::Done)
}

fn row(listing: WorkloadListing) -> LogRow {
    let time = |seconds: i64| jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string());
    LogRow {
        workload: listing.workload,
        records: listing.records,
        clients: listing.clients.into_iter().collect(),
        labels: listing.labels.into_iter().collect(),
        first: time(listing.first),
        last: time(listing.last),
    }
}
