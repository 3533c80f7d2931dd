//! For unit tests: a homeserver that answers by a script, and a clock that follows the runtime's.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::surroundings::{Clock, Transport, TransportError};

/// What the homeserver answers.
pub(crate) enum Said {
    /// A status and a body.
    Answer(u16, Value),
    /// Nothing, ever.
    Silence,
    /// Half of an answer.
    Broken,
}

/// A homeserver that answers by a script, and then takes everything.
#[derive(Default)]
pub(crate) struct Scripted {
    script: Mutex<VecDeque<Said>>,
    /// Method and uri of each request.
    pub(crate) heard: Mutex<Vec<String>>,
    pub(crate) bodies: Mutex<Vec<Bytes>>,
    /// What it fails over, whatever the script says: requests whose uri has this in it are answered so.
    pub(crate) poison: Mutex<Option<(String, u16, Value)>>,
}

impl Scripted {
    pub(crate) fn saying(script: impl IntoIterator<Item = Said>) -> Self {
        Self {
            script: Mutex::new(script.into_iter().collect()),
            ..Self::default()
        }
    }
}

impl Transport for Scripted {
    fn call(
        &self,
        request: Request<Bytes>,
        _max_bytes: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        let heard = format!("{} {}", request.method(), request.uri());
        let poison = self.poison.lock().clone();
        let poison = poison.filter(|(part, ..)| heard.contains(part));
        let number = {
            let mut all = self.heard.lock();
            all.push(heard);
            all.len()
        };
        self.bodies.lock().push(request.into_body());
        let said = match poison {
            Some((_, status, body)) => Some(Said::Answer(status, body)),
            None => self.script.lock().pop_front(),
        };
        async move {
            let taken = Said::Answer(200, json!({ "event_id": format!("${number}") }));
            match said.unwrap_or(taken) {
                Said::Answer(status, body) => Ok(Response::builder()
                    .status(status)
                    .body(Bytes::from(body.to_string()))
                    .expect("a response")),
                Said::Silence => std::future::pending().await,
                Said::Broken => Err(TransportError::Broken("half-way".to_owned())),
            }
        }
        .boxed()
    }
}

/// The time of tests, which goes on when everybody waits.
pub(crate) struct PausedClock(Instant);

impl Default for PausedClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for PausedClock {
    fn now_ms(&self) -> i64 {
        1_000_000 + i64::try_from(self.0.elapsed().as_millis()).expect("a short test")
    }
}
