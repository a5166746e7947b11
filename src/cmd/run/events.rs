//! Where the events of a run go: the view on stderr, the log of the run, and the file of `--events`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use crate::run::event::{Event, EventSink};
use crate::ui::json_lines::JsonLinesView;
use crate::ui::{Ui, View as _, Views};

/// The views of a run, shared by those who tell events and the one who closes them.
pub(super) type SharedViews = Arc<Mutex<Views>>;

/// Opens the views of a run.
pub(super) fn open(events: Option<&Path>, log: &Path, ui: &Ui) -> anyhow::Result<SharedViews> {
    let mut views = Views::new(vec![ui.view()]);
    let view = JsonLinesView::append(log, ui).with_context(|| format!("cannot open the log {}", log.display()))?;
    views.add(view);
    if let Some(path) = events {
        let view = JsonLinesView::append(path, ui);
        views.add(view.with_context(|| format!("cannot open the events file {}", path.display()))?);
    }
    Ok(Arc::new(Mutex::new(views)))
}

/// Returns the sink that passes events to the views.
pub(super) fn sink(views: &SharedViews) -> EventSink {
    let views = Arc::clone(views);
    Box::new(move |event: &Event| views.lock().unwrap_or_else(PoisonError::into_inner).event(event))
}

/// Closes the views.
pub(super) fn close(views: &SharedViews) {
    views.lock().unwrap_or_else(PoisonError::into_inner).close();
}
