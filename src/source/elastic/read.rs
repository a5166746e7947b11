//! Reading: the records of an index that a filter lets pass, in pages, several slices at once, as a stream of JSON lines.
//! A context that the server loses is opened anew where the reading was: nothing is left out and nothing comes twice.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::client::{Client, LATE};
use super::context::{Form, Page, Search};
use super::error::ElasticError;
use super::halt::{GRACE, Halt};
use super::index::look;
use super::mapping;
use super::page_size::PageSize;
use super::progress::Progress;
use super::thread::{Thread, ended as ended_early};
use super::window::TimeKind;
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;

/// Slices that are read at once: the server looks for the next page of one while that of another is on its way.
const SLICES: usize = 4;
/// Contexts lost in a row before it is given up.
const LOSSES: u32 = 5;

/// The records of an index as a stream of lines.
#[derive(Debug)]
pub(crate) struct Pages {
    /// Name and version of the server.
    pub(crate) server: String,
    /// Ended by dropping it, which is why it stands before the thread that serves it.
    pages: Option<mpsc::Receiver<Lines>>,
    end: mpsc::Receiver<Result<(), ElasticError>>,
    current: Option<Lines>,
    at: usize,
    error: Option<ElasticError>,
    _thread: Thread,
}

/// Some whole lines, and the right to fetch the next ones once they are gone.
#[derive(Debug)]
struct Lines {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl Pages {
    /// Connects and begins to read what `filter` lets pass; more may come where the server cannot decide. Ends with an
    /// error, and with everything closed, once `halt` was asked to.
    pub(crate) fn open(
        at: &IndexAt,
        credentials: &Credentials,
        filter: &Filter,
        halt: &Halt,
    ) -> Result<Pages, ElasticError> {
        Pages::of(Client::new(at, credentials)?, filter, SLICES, None, halt)
    }

    /// The same with this many slices and, if given, records per page.
    pub(super) fn of(
        client: Client,
        filter: &Filter,
        slices: usize,
        size: Option<PageSize>,
        halt: &Halt,
    ) -> Result<Pages, ElasticError> {
        let thread = Thread::start()?;
        let client = Arc::new(client);
        let (looking, filter) = (Arc::clone(&client), filter.clone());
        let halted = halt.clone();
        let looking = async move {
            let index = look(&looking, &filter).await?;
            let size = match size {
                Some(size) => size,
                None => PageSize::of(index.sample.average(&looking).await?),
            };
            Ok((index, size))
        };
        let (index, size) = thread.run(async move {
            tokio::select! {
                looked = looking => looked,
                () = halted.asked() => Err(ElasticError::Stopped),
            }
        })?;
        let (give, pages) = mpsc::channel();
        let form = Form::of(&index.server);
        let reading = Arc::new(Reading {
            client,
            form,
            time: index.mapping.time_kind().filter(|_| form != Form::Scroll),
            query: index.parts,
            size,
            room: Arc::new(Semaphore::new(slices + 1)),
            give,
            progress: Mutex::new(Progress::new(slices)),
            scrolls: Mutex::new(vec![None; slices]),
            halt: halt.clone(),
        });
        let end = thread.begin(async move { reading.all(slices).await });
        Ok(Pages {
            server: index.server.to_string(),
            pages: Some(pages),
            end,
            current: None,
            at: 0,
            error: None,
            _thread: thread,
        })
    }

    /// What ended the stream early, if something did.
    pub(crate) fn take_error(&mut self) -> Option<ElasticError> {
        self.error.take()
    }
}

impl Read for Pages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(lines) = &self.current {
                let rest = &lines.bytes[self.at..];
                if !rest.is_empty() {
                    let count = rest.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&rest[..count]);
                    self.at += count;
                    return Ok(count);
                }
            }
            (self.current, self.at) = (None, 0);
            let Some(pages) = &self.pages else { return Ok(0) };
            match pages.recv() {
                Ok(lines) => self.current = Some(lines),
                Err(_) => {
                    self.pages = None;
                    if let Err(error) = self.end.recv().unwrap_or_else(|_| Err(ended_early())) {
                        let shown = io::Error::other(error.to_string());
                        self.error = Some(error);
                        return Err(shown);
                    }
                }
            }
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // The reading sees that nobody listens, closes its contexts and ends. Should it have ended, this returns at once.
        self.current = None;
        if self.pages.take().is_some() {
            let _ = self.end.recv();
        }
    }
}

/// How a slice ended.
enum SliceEnd {
    Done,
    Lost(ElasticError),
    Unheard,
}

/// Everything that the slices share.
struct Reading {
    client: Arc<Client>,
    form: Form,
    /// How records are ordered by time, where they are.
    time: Option<TimeKind>,
    query: Vec<Value>,
    size: PageSize,
    room: Arc<Semaphore>,
    give: mpsc::Sender<Lines>,
    progress: Mutex<Progress>,
    /// The open scroll of each slice, where slices have their own.
    scrolls: Mutex<Vec<Option<String>>>,
    halt: Halt,
}

impl Reading {
    async fn all(self: Arc<Self>, slices: usize) -> Result<(), ElasticError> {
        let (mut losses, mut before) = (0, 0);
        loop {
            let opened = self.halt.or_opened(self.form.open(&self.client)).await;
            let context = opened.unwrap_or(Err(ElasticError::Stopped))?;
            let ended = self.slices(slices, context.as_deref()).await;
            if let Some(id) = &context {
                self.form.close(&self.client, id).await;
            }
            let Some(lost) = ended? else { return Ok(()) };
            let delivered = self.progress().begin_again();
            losses = if delivered > before { 1 } else { losses + 1 };
            before = delivered;
            if let Some(error) = end_of_patience(&lost, losses) {
                return Err(error);
            }
            match &lost {
                ElasticError::Late { .. } => tracing::warn!("{lost}; beginning another scroll"),
                _ => tracing::debug!(error = %lost, "the search context is lost; opening another"),
            }
        }
    }

    /// Reads all slices in one context. The error is that of a slice that has lost it.
    async fn slices(
        self: &Arc<Self>,
        slices: usize,
        context: Option<&str>,
    ) -> Result<Option<ElasticError>, ElasticError> {
        let mut tasks = JoinSet::new();
        for number in 0..slices {
            let (reading, id) = (Arc::clone(self), context.map(str::to_owned));
            tasks.spawn(async move { reading.slice(number, slices, id).await });
        }
        let (mut lost, mut failed) = (None, None);
        let mut limit = None;
        loop {
            let ended = tokio::select! {
                biased;
                () = self.halt.asked(), if failed.is_none() => {
                    (failed, limit) = (Some(ElasticError::Stopped), self.end_early());
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
                Some(Ok(Ok(SliceEnd::Done | SliceEnd::Unheard))) => {}
                Some(Ok(Ok(SliceEnd::Lost(error)))) => lost = Some(error),
                Some(Ok(Err(error))) => {
                    (failed, limit) = (failed.or(Some(error)), self.end_early());
                }
                Some(Err(stopped)) if stopped.is_cancelled() => {}
                Some(Err(_)) => failed = failed.or(Some(ended_early())),
            }
        }
        for number in 0..slices {
            self.close_scroll(number).await;
        }
        failed.map_or(Ok(lost), Err)
    }

    /// Makes the slices end behind the pages under way. How long those may take: a scroll has to be known before it can
    /// be closed.
    fn end_early(&self) -> Option<Instant> {
        self.room.close();
        Some(Instant::now() + if self.form == Form::Scroll { GRACE } else { Duration::ZERO })
    }

    async fn slice(&self, number: usize, slices: usize, context: Option<String>) -> Result<SliceEnd, ElasticError> {
        let mut parts = self.query.clone();
        let field = self.client.fields.path("timestamp");
        parts.extend(self.progress().rest(self.time, field));
        let search = Search {
            form: self.form,
            query: mapping::all_of(parts),
            slice: (number, slices),
            by_time: self.time.map(|_| field.to_owned()),
            wanted: mapping::wanted(&self.client.fields),
        };
        let ended = self.pages(&search, context).await;
        self.close_scroll(number).await;
        ended
    }

    async fn close_scroll(&self, number: usize) {
        let open = self.scrolls.lock().unwrap_or_else(PoisonError::into_inner)[number].take();
        if let Some(id) = open {
            self.form.close(&self.client, &id).await;
        }
    }

    async fn pages(&self, search: &Search, mut id: Option<String>) -> Result<SliceEnd, ElasticError> {
        let (call, number) = (format!("POST {}/_search", self.client.base()), search.slice.0);
        let (mut after, mut size): (Option<Value>, _) = (None, self.size);
        loop {
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return Ok(SliceEnd::Unheard) };
            let continued = self.form != Form::Scroll || id.is_some();
            let body = match search.page(&self.client, id.as_deref(), after.as_ref(), size.records()).await {
                Ok(body) => body,
                Err(error) if continued && self.is_lost(&error) => return Ok(SliceEnd::Lost(error)),
                Err(error) => return Err(error),
            };
            let page = match Page::read(&body, &call) {
                Ok(page) => page,
                Err(error) if self.is_lost(&error) => return Ok(SliceEnd::Lost(error)),
                Err(error) => return Err(error),
            };
            if let Some(next) = page.pit_id.as_ref().or(page.scroll_id.as_ref()) {
                id = Some(next.clone());
            }
            if page.scroll_id.is_some() {
                self.scrolls.lock().unwrap_or_else(PoisonError::into_inner)[number] = page.scroll_id.clone();
            }
            let full = page.hits.hits.len() == size.records();
            // A scroll keeps the size that it began with.
            if self.form != Form::Scroll {
                size = size.after(page.hits.hits.len(), body.len());
            }
            after = page.hits.hits.last().map(|hit| hit.sort.clone());
            let bytes = self.progress().take(number, &page, self.time);
            if !bytes.is_empty() && self.give.send(Lines { bytes, _permit: permit }).is_err() {
                return Ok(SliceEnd::Unheard);
            }
            if !full {
                self.progress().done(number);
                return Ok(SliceEnd::Done);
            }
        }
    }

    /// Whether the reading can go on in another context. A scroll has moved on when its page did not arrive.
    fn is_lost(&self, error: &ElasticError) -> bool {
        (error.is_lost_context() && !error.is_no_index())
            || (error.is_passing() && self.form == Form::Scroll)
            || matches!(error, ElasticError::Answer { problem, .. } if problem.status == 503)
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ends the reading after so many contexts in a row that were lost without handing out a record, if that ends it.
pub(super) fn end_of_patience(lost: &ElasticError, losses: u32) -> Option<ElasticError> {
    match lost.clone() {
        ElasticError::Late { call, after, raisable, .. } => {
            (losses > LATE).then_some(ElasticError::Late { call, after, times: losses, raisable })
        }
        _ => (losses > LOSSES).then_some(ElasticError::Lost { times: losses }),
    }
}
