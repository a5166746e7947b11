//! Reads an index in several slices at once, page after page. Opens another context where the server loses one, so that
//! no record is left out and none comes twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::client::{LATE_REPEATS, SearchClient};
use super::context::{ContextKind, SliceSearch};
use super::delivered::DeliveredRecords;
use super::error::ElasticError;
use super::inspect::IndexInfo;
use super::mapping;
use super::page::ResultPage;
use super::page_size::PageSize;
use super::runtime::runtime_ended;
use super::window::TimeKind;

/// The contexts that a server may lose in a row.
const MAX_LOSSES: u32 = 5;
/// The time that a request which opens a context may still take after the reading was cancelled.
const GRACE: Duration = Duration::from_secs(5);

/// The lines of a page, and the permit to fetch another page once they are read.
#[derive(Debug)]
pub(super) struct PageLines {
    pub(super) bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

/// The way in which a slice ended.
enum SliceEnd {
    Done,
    ContextLost(ElasticError),
    ReaderGone,
}

/// A reading in several slices.
pub(super) struct SlicedRead {
    client: Arc<SearchClient>,
    kind: ContextKind,
    slices: usize,
    /// The kind of time field by which records are sorted, if any.
    time: Option<TimeKind>,
    query: Vec<Value>,
    size: PageSize,
    /// Bounds the pages in memory.
    room: Arc<Semaphore>,
    give: mpsc::Sender<PageLines>,
    delivered: Mutex<DeliveredRecords>,
    /// The open scroll of each slice, if slices have scrolls.
    scrolls: Mutex<Vec<Option<String>>>,
    cancel: CancellationToken,
}

impl SlicedRead {
    /// Prepares to read an index. Sends the lines of each page to `give`.
    pub(super) fn new(
        client: Arc<SearchClient>,
        index: IndexInfo,
        slices: usize,
        size: PageSize,
        give: mpsc::Sender<PageLines>,
        cancel: CancellationToken,
    ) -> SlicedRead {
        let kind = ContextKind::of(&index.server);
        SlicedRead {
            client,
            kind,
            slices,
            time: index.mapping.time_kind().filter(|_| kind != ContextKind::Scroll),
            query: index.parts,
            size,
            room: Arc::new(Semaphore::new(slices + 1)),
            give,
            delivered: Mutex::new(DeliveredRecords::new(slices)),
            scrolls: Mutex::new(vec![None; slices]),
            cancel,
        }
    }

    /// Reads all records. Opens another context each time that the server loses one.
    pub(super) async fn run(self: Arc<Self>) -> Result<(), ElasticError> {
        let (mut losses, mut before) = (0, 0);
        loop {
            let context = self.open_context().await?;
            let ended = self.read_slices(context.as_deref()).await;
            if let Some(id) = &context {
                self.kind.close(&self.client, id).await;
            }
            let Some(lost) = ended? else { return Ok(()) };
            let delivered = self.delivered().restart();
            losses = if delivered > before { 1 } else { losses + 1 };
            before = delivered;
            if let Some(error) = final_error(&lost, losses) {
                return Err(error);
            }
            match &lost {
                ElasticError::Late { .. } => tracing::warn!("{lost}, starting another scroll"),
                _ => tracing::debug!(error = %lost, "opening another search context"),
            }
        }
    }

    /// Opens a context. When cancelled, still waits for the response under way, because only its id allows to close the
    /// context.
    async fn open_context(&self) -> Result<Option<String>, ElasticError> {
        let mut opening = std::pin::pin!(self.kind.open(&self.client));
        tokio::select! {
            opened = &mut opening => opened,
            () = self.cancel.cancelled() => {
                tokio::time::timeout(GRACE, opening).await.unwrap_or(Err(ElasticError::Stopped))
            }
        }
    }

    /// Reads all slices in one context. Returns the error of a slice that has lost the context.
    async fn read_slices(self: &Arc<Self>, context: Option<&str>) -> Result<Option<ElasticError>, ElasticError> {
        let mut tasks = JoinSet::new();
        for number in 0..self.slices {
            let (reading, id) = (Arc::clone(self), context.map(str::to_owned));
            tasks.spawn(async move { reading.read_slice(number, id).await });
        }
        let (mut lost, mut failed) = (None, None);
        let mut limit = None;
        loop {
            let ended = tokio::select! {
                biased;
                () = self.cancel.cancelled(), if failed.is_none() => {
                    (failed, limit) = (Some(ElasticError::Stopped), self.stop_slices());
                    continue;
                }
                () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => {
                    limit = None;
                    tasks.abort_all();
                    continue;
                }
                ended = tasks.join_next() => ended,
            };
            match ended {
                None => break,
                Some(Ok(Ok(SliceEnd::Done | SliceEnd::ReaderGone))) => {}
                Some(Ok(Ok(SliceEnd::ContextLost(error)))) => lost = Some(error),
                Some(Ok(Err(error))) => {
                    (failed, limit) = (failed.or(Some(error)), self.stop_slices());
                }
                Some(Err(stopped)) if stopped.is_cancelled() => {}
                Some(Err(_)) => failed = failed.or(Some(runtime_ended())),
            }
        }
        for number in 0..self.slices {
            self.close_scroll(number).await;
        }
        failed.map_or(Ok(lost), Err)
    }

    /// Makes the slices end after the pages under way. Returns the time limit of those pages. A scroll gets more time,
    /// because only its page tells the id that closes it.
    fn stop_slices(&self) -> Option<Instant> {
        self.room.close();
        Some(Instant::now() + if self.kind == ContextKind::Scroll { GRACE } else { Duration::ZERO })
    }

    async fn read_slice(&self, number: usize, context: Option<String>) -> Result<SliceEnd, ElasticError> {
        let mut parts = self.query.clone();
        let field = self.client.fields.path("timestamp");
        parts.extend(self.delivered().remaining_query(self.time, field));
        let search = SliceSearch {
            context: self.kind,
            query: mapping::all_of(parts),
            slice: (number, self.slices),
            time_field: self.time.map(|_| field.to_owned()),
            source_fields: mapping::source_fields(&self.client.fields),
        };
        let ended = self.read_pages(&search, context).await;
        self.close_scroll(number).await;
        ended
    }

    async fn close_scroll(&self, number: usize) {
        let open = self.scrolls.lock().unwrap_or_else(PoisonError::into_inner)[number].take();
        if let Some(id) = open {
            self.kind.close(&self.client, &id).await;
        }
    }

    async fn read_pages(&self, search: &SliceSearch, mut id: Option<String>) -> Result<SliceEnd, ElasticError> {
        let (request, number) = (format!("POST {}/_search", self.client.base()), search.slice.0);
        let (mut after, mut size): (Option<Value>, _) = (None, self.size);
        loop {
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return Ok(SliceEnd::ReaderGone) };
            let continued = self.kind != ContextKind::Scroll || id.is_some();
            let body = match search.page(&self.client, id.as_deref(), after.as_ref(), size.records()).await {
                Ok(body) => body,
                Err(error) if continued && self.is_context_lost(&error) => return Ok(SliceEnd::ContextLost(error)),
                Err(error) => return Err(error),
            };
            let page = match ResultPage::read(&body, &request) {
                Ok(page) => page,
                Err(error) if self.is_context_lost(&error) => return Ok(SliceEnd::ContextLost(error)),
                Err(error) => return Err(error),
            };
            if let Some(next) = page.pit_id.as_ref().or(page.scroll_id.as_ref()) {
                id = Some(next.clone());
            }
            if page.scroll_id.is_some() {
                self.scrolls.lock().unwrap_or_else(PoisonError::into_inner)[number] = page.scroll_id.clone();
            }
            let full = page.hits.hits.len() == size.records();
            // The server keeps the first size of a scroll.
            if self.kind != ContextKind::Scroll {
                size = size.after(page.hits.hits.len(), body.len());
            }
            after = page.hits.hits.last().map(|hit| hit.sort.clone());
            let bytes = self.delivered().deliver(number, &page, self.time);
            if !bytes.is_empty() && self.give.send(PageLines { bytes, _permit: permit }).is_err() {
                return Ok(SliceEnd::ReaderGone);
            }
            if !full {
                self.delivered().finish_slice(number);
                return Ok(SliceEnd::Done);
            }
        }
    }

    /// Returns true if another context can continue the reading. A scroll cannot repeat a page that did not arrive. A
    /// server answers 500 to a search in a context that closes at that moment (seen with Elasticsearch 9.2:
    /// `illegal_state_exception: already closed`).
    fn is_context_lost(&self, error: &ElasticError) -> bool {
        (error.is_lost_context() && !error.is_no_index())
            || (error.is_transient() && self.kind == ContextKind::Scroll)
            || matches!(error, ElasticError::Answer { problem, .. } if matches!(problem.status, 500 | 503))
    }

    fn delivered(&self) -> MutexGuard<'_, DeliveredRecords> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the error that ends the reading after so many contexts in a row were lost without delivering a record, if the
/// reading should end.
pub(super) fn final_error(lost: &ElasticError, losses: u32) -> Option<ElasticError> {
    match lost.clone() {
        ElasticError::Late { request, after, raisable, .. } => {
            (losses > LATE_REPEATS).then_some(ElasticError::Late { request, after, times: losses, raisable })
        }
        _ if losses <= MAX_LOSSES => None,
        error if error.is_lost_context() => Some(ElasticError::Lost { times: losses }),
        error => Some(error),
    }
}
