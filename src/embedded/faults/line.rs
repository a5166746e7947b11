//! Connections that can be broken off on purpose: a listener whose streams obey a switch that handlers reach. When to
//! throw it is not known here.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

// 0: nothing is broken off.

/// Nothing more is written.
const CUT: u8 = 1;
/// Nothing more is written, and the peer is told that the connection was aborted.
const RESET: u8 = 2;
/// What is on its way is written, then nothing more.
const ENDING: u8 = 3;

/// The switch of one connection.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct Line(Arc<AtomicU8>);

impl Line {
    /// Closes the connection: the answer on its way is not sent.
    pub(super) fn cut(&self) {
        self.0.store(CUT, Ordering::Release);
    }

    /// Aborts the connection.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// Closes the connection once everything that was handed over so far is sent.
    pub(super) fn end(&self) {
        self.0.store(ENDING, Ordering::Release);
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Acquire) == state
    }
}

/// Accepts connections that can be broken off.
#[derive(Debug)]
pub(in crate::embedded) struct Lines(pub(in crate::embedded) TcpListener);

/// A connection that can be broken off.
#[derive(Debug)]
pub(in crate::embedded) struct Stream {
    stream: TcpStream,
    line: Line,
}

impl Listener for Lines {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Stream { stream, line: Line::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().line.clone()
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "broken off by a scripted fault")
}

impl Stream {
    /// Whether anything may still be written.
    fn check(&self) -> io::Result<()> {
        if self.line.is(RESET) {
            self.stream.set_zero_linger()?;
        }
        if self.line.is(RESET) || self.line.is(CUT) { Err(broken()) } else { Ok(()) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // Flushed when everything that was handed over has been written.
        Poll::Ready(if self.line.is(ENDING) { Err(broken()) } else { Ok(()) })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
