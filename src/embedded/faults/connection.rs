//! Connections that break on purpose: a listener whose streams obey a switch that handlers can reach.

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

// 0 means a whole connection.

/// Nothing more is written.
const CUT: u8 = 1;
/// Nothing more is written, and the peer sees a reset.
const RESET: u8 = 2;
/// Pending data is written, then nothing more.
const ENDING: u8 = 3;

/// The switch of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionSwitch(Arc<AtomicU8>);

impl ConnectionSwitch {
    /// Closes the connection without sending the answer.
    pub(crate) fn cut(&self) {
        self.0.store(CUT, Ordering::Release);
    }

    /// Resets the connection.
    pub(crate) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// Closes the connection after sending what was handed over so far.
    pub(crate) fn end(&self) {
        self.0.store(ENDING, Ordering::Release);
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Acquire) == state
    }
}

/// Accepts connections with a switch.
#[derive(Debug)]
pub(crate) struct SwitchedListener(pub(crate) TcpListener);

/// A connection with a switch.
#[derive(Debug)]
pub(crate) struct SwitchedStream {
    stream: TcpStream,
    line: ConnectionSwitch,
}

impl Listener for SwitchedListener {
    type Io = SwitchedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (SwitchedStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (SwitchedStream { stream, line: ConnectionSwitch::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, SwitchedListener>> for ConnectionSwitch {
    fn connect_info(stream: IncomingStream<'_, SwitchedListener>) -> Self {
        stream.io().line.clone()
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "broken off by a scripted fault")
}

impl SwitchedStream {
    /// Checks that the connection is not broken.
    fn check(&self) -> io::Result<()> {
        if self.line.is(RESET) {
            self.stream.set_zero_linger()?;
        }
        if self.line.is(RESET) || self.line.is(CUT) { Err(broken()) } else { Ok(()) }
    }
}

impl AsyncRead for SwitchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for SwitchedStream {
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
        // The flush is done, so everything handed over has been written.
        Poll::Ready(if self.line.is(ENDING) { Err(broken()) } else { Ok(()) })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
