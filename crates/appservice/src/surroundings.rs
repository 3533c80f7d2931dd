//! What comes from outside: the time, randomness and the way to the homeserver.
//!
//! Nothing else in this crate asks the machine for the time or for chance, or opens a connection to the homeserver, so
//! a test decides all three.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream, stream::BoxStream};
use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }
}

/// A source of chance.
pub trait Randomness: Send + Sync + 'static {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Randomness {
    /// A number below `bound`; zero when that is zero.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }

    /// That many random hexadecimal digits.
    #[must_use]
    pub fn hex(&self, digits: usize) -> String {
        let mut bytes = vec![0; digits];
        self.fill(&mut bytes);
        let digit = |byte: u8| char::from(b"0123456789abcdef"[usize::from(byte & 15)]);
        bytes.into_iter().map(digit).collect()
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}

/// The same bytes each time for the same seed.
pub struct SeededRandomness(Mutex<StdRng>);

impl SeededRandomness {
    /// From this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

/// A response's body, piece by piece. Ends after the first error.
pub type BodyStream = BoxStream<'static, Result<Bytes, TransportError>>;

/// The way to the homeserver: one request there, one response back.
///
/// Called for many requests at the same time. Must end within a bounded time. Dropping the future gives the request
/// up; whether the homeserver has done what was asked is unknown then.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request whose uri is a path with an optional query, and reads the whole response, of at most
    /// `max_bytes`.
    fn call(
        &self,
        request: http::Request<Bytes>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>>;

    /// The same, with a body that comes piece by piece and ends in [`TransportError::TooLarge`] behind `max_bytes`.
    /// Called for media. Where it is not implemented, the whole body is read first.
    fn open(
        &self,
        request: http::Request<Bytes>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        let called = self.call(request, max_bytes);
        async move {
            let response = called.await?;
            Ok(response.map(|bytes| stream::once(async move { Ok(bytes) }).boxed()))
        }
        .boxed()
    }
}

/// Why there is no response. Displays as a sentence for people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection could be made: the homeserver is not there. It has not seen the request.
    #[error("the homeserver cannot be reached: {0}")]
    Unreachable(String),
    /// No whole response in time. The homeserver may have done what was asked.
    #[error("the homeserver did not answer within {0} ms")]
    Timeout(u64),
    /// The connection broke before the response was complete. The homeserver may have done what was asked.
    #[error("the connection to the homeserver broke: {0}")]
    Broken(String),
    /// The response is larger than the caller takes.
    #[error("the homeserver's answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// All that comes from outside. The default is the real world.
#[derive(Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub randomness: Arc<dyn Randomness>,
    /// The way to the homeserver; `None` is HTTP to the address in the configuration.
    pub transport: Option<Arc<dyn Transport>>,
    /// The way to others than the homeserver, for requests whose uri is absolute: where media is redirected to, and the
    /// homeservers that vouch for people. `None` is HTTP, to public addresses and to those that the operator has named.
    pub web: Option<Arc<dyn Transport>>,
    /// The database is worked on in the calling task instead of on a thread of its own: for tests with a paused
    /// clock, which must not run on while a thread works.
    pub inline_store: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            randomness: Arc::new(SystemRandomness),
            transport: None,
            web: None,
            inline_store: false,
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("own_transport", &self.transport.is_some())
            .field("inline_store", &self.inline_store)
            .finish_non_exhaustive()
    }
}
