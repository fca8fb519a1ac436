//! The bytes of a connection: taken in until a message is whole, sent in one write. What came in
//! may be a secret that somebody wants to hand over, so it is wiped.

use std::io;

use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::framing::{LONGEST, Message, Scanner};

/// Enough for every request that is served.
const AT_FIRST: usize = 1024;
/// More than the longest message has, sealed and in base64.
const AT_MOST: usize = LONGEST * 2;

/// A connection and what came over it.
pub(super) struct Inbox {
    stream: UnixStream,
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
}

impl Inbox {
    /// Nothing has come yet.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, bytes: Zeroizing::new(vec![0; AT_FIRST]), filled: 0 }
    }

    /// The next message. What came behind it is not looked at: there is nothing that could follow.
    ///
    /// # Errors
    /// The peer left before it was whole.
    pub(super) async fn receive(&mut self, scanner: &mut impl Scanner) -> io::Result<Message> {
        self.filled = 0;
        loop {
            self.stream.readable().await?;
            if self.filled == self.bytes.len() {
                self.grow();
            }
            match self.stream.try_read(&mut self.bytes[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if let Some(message) = scanner.scan(&self.bytes[..self.filled]) {
                return Ok(message);
            }
            if self.filled >= AT_MOST {
                return Ok(Message::Nothing);
            }
        }
    }

    /// Sends a message, in one write as long as the peer's buffer has room for it.
    ///
    /// # Errors
    /// The peer left.
    pub(super) async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Twice the room; what was there is wiped where it was.
    fn grow(&mut self) {
        let mut bytes = Zeroizing::new(vec![0; self.bytes.len() * 2]);
        bytes[..self.filled].copy_from_slice(&self.bytes[..self.filled]);
        self.bytes = bytes;
    }
}
