//! Reads the records of an index that a filter selects, as a stream of JSON lines.

use std::io::{self, Read};
use std::sync::{Arc, mpsc};

use tokio_util::sync::CancellationToken;

use super::client::SearchClient;
use super::error::ElasticError;
use super::inspect::inspect;
use super::page_size::PageSize;
use super::runtime::{BackgroundRuntime, runtime_ended};
use super::slices::{PageLines, SlicedRead};
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;

/// The slices that are read at once. The server searches for a page of one slice while it sends a page of another.
const SLICES: usize = 4;

/// The records of an index as a stream of lines.
#[derive(Debug)]
pub(crate) struct IndexReader {
    /// Product and version of the server.
    pub(crate) server: String,
    /// Stands before the runtime, because dropping it ends the tasks there.
    pages: Option<mpsc::Receiver<PageLines>>,
    end: mpsc::Receiver<Result<(), ElasticError>>,
    current: Option<PageLines>,
    at: usize,
    error: Option<ElasticError>,
    _runtime: BackgroundRuntime,
}

impl IndexReader {
    /// Connects and begins to read the records that `filter` selects, and more where the server cannot decide. Ends with an
    /// error, and with all contexts closed, once `cancel` is cancelled.
    pub(crate) fn open(
        at: &IndexAt,
        credentials: &Credentials,
        filter: &Filter,
        cancel: &CancellationToken,
    ) -> Result<IndexReader, ElasticError> {
        IndexReader::with_client(SearchClient::new(at, credentials)?, filter, SLICES, None, cancel)
    }

    /// Reads with this many slices and, if given, records per page.
    pub(super) fn with_client(
        client: SearchClient,
        filter: &Filter,
        slices: usize,
        size: Option<PageSize>,
        cancel: &CancellationToken,
    ) -> Result<IndexReader, ElasticError> {
        let runtime = BackgroundRuntime::start()?;
        let client = Arc::new(client);
        let (inspecting, filter) = (Arc::clone(&client), filter.clone());
        let cancelled = cancel.clone();
        let inspection = async move {
            let index = inspect(&inspecting, &filter).await?;
            let size = match size {
                Some(size) => size,
                None => PageSize::for_average(index.sample.average_bytes(&inspecting).await?),
            };
            Ok((index, size))
        };
        let (index, size) = runtime.block_on(async move {
            tokio::select! {
                inspected = inspection => inspected,
                () = cancelled.cancelled() => Err(ElasticError::Stopped),
            }
        })?;
        let server = index.server.to_string();
        let (give, pages) = mpsc::channel();
        let reading = Arc::new(SlicedRead::new(client, index, slices, size, give, cancel.clone()));
        let end = runtime.spawn(async move { reading.run().await });
        Ok(IndexReader { server, pages: Some(pages), end, current: None, at: 0, error: None, _runtime: runtime })
    }

    /// Returns the error that ended the stream early, if any.
    pub(crate) fn take_error(&mut self) -> Option<ElasticError> {
        self.error.take()
    }
}

impl Read for IndexReader {
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
                    if let Err(error) = self.end.recv().unwrap_or_else(|_| Err(runtime_ended())) {
                        let shown = io::Error::other(error.to_string());
                        self.error = Some(error);
                        return Err(shown);
                    }
                }
            }
        }
    }
}

impl Drop for IndexReader {
    fn drop(&mut self) {
        // The tasks see that the channel is closed, close their contexts and end.
        self.current = None;
        if self.pages.take().is_some() {
            let _ = self.end.recv();
        }
    }
}
