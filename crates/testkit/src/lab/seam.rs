//! The seam between host and services: every request passes here, meets its fault and is written
//! down.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bridgehead_appservice::surroundings::TransportError;
use bridgehead_homeserver::{Outgoing, OutgoingError};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, header::CONTENT_LENGTH};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    faults::{Act, Faults, Side},
    host::HostPort,
    journal::Journal,
    mount::Seat,
};

/// Where everything passes.
pub(super) struct Seam {
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    seats: Mutex<BTreeMap<String, Arc<Seat>>>,
    under_way: AtomicUsize,
    last: Mutex<Instant>,
}

/// Where a request goes.
enum Target<'a> {
    Service(&'a Seat),
    Host(&'a HostPort),
}

/// A request under way.
struct UnderWay<'a>(&'a Seam);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        *self.0.last.lock() = Instant::now();
    }
}

impl Seam {
    pub(super) fn new() -> Self {
        Self {
            faults: Faults::default(),
            journal: Journal::default(),
            seats: Mutex::default(),
            under_way: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Adds a service's place.
    pub(super) fn add(&self, seat: Arc<Seat>) -> anyhow::Result<()> {
        let mut seats = self.seats.lock();
        let clash = seats
            .values()
            .find(|other| other.id == seat.id || other.url == seat.url);
        if let Some(other) = clash {
            anyhow::bail!(
                "`{}` is mounted already at {}: id and url must differ",
                other.id,
                other.url
            );
        }
        seats.insert(seat.id.clone(), seat);
        Ok(())
    }

    /// Forgets all services.
    pub(super) fn clear(&self) {
        self.seats.lock().clear();
    }

    pub(super) fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().values().cloned().collect()
    }

    /// Requests that have not been answered, long polls aside.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// When the last one was.
    pub(super) fn last(&self) -> Instant {
        *self.last.lock()
    }

    fn enter(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// A request of the host to a service.
    pub(super) async fn deliver(
        &self,
        seat: &Seat,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        let _under_way = self.enter();
        let target = Target::Service(seat);
        let act = self.act(&target, Side::Delivery, &seat.id, &request);
        let note = self
            .journal
            .begin(Side::Delivery, &seat.id, &request, act.as_ref());
        let bringing = Bringing::begin(seat, &request);
        let answer = carry(&target, act.as_ref(), request).await;
        bringing.end(&answer);
        note.end(&answer);
        answer
    }

    /// A request of a service to the host.
    pub(super) async fn call(
        &self,
        seat: &Seat,
        port: &HostPort,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        // A long poll is answered when there is news: that it waits does not mean that anything
        // is to come.
        let is_poll = request.uri().path().ends_with("/sync");
        let _under_way = (!is_poll).then(|| self.enter());
        let target = Target::Host(port);
        let act = self.act(&target, Side::Call, &seat.id, &request);
        let note = (!is_poll).then(|| {
            self.journal
                .begin(Side::Call, &seat.id, &request, act.as_ref())
        });
        let answer = carry(&target, act.as_ref(), request).await;
        if let Some(note) = note {
            note.end(&answer);
        }
        answer
    }

    /// The fault that meets a request. Where nobody is there to be reached it meets none: a fault
    /// that changed nothing would count as one that has happened.
    fn act(
        &self,
        target: &Target<'_>,
        side: Side,
        service: &str,
        request: &Request<Bytes>,
    ) -> Option<Act> {
        target
            .is_up()
            .then(|| self.faults.take(side, service, request))
            .flatten()
    }

    fn at(&self, url: &str) -> Option<Arc<Seat>> {
        let seats = self.seats.lock();
        let at = |seat: &&Arc<Seat>| {
            url.strip_prefix(seat.url.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        seats.values().find(at).cloned()
    }
}

impl Outgoing for Seam {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'_, Result<Response<Bytes>, OutgoingError>> {
        async move {
            let url = request.uri().to_string();
            let Some(seat) = self.at(&url) else {
                let nobody = "no service is mounted at this url";
                return Err(OutgoingError::Connect(nobody.to_owned()));
            };
            let (mut head, body) = request.into_parts();
            if let Some(path_and_query) = head.uri.path_and_query().cloned() {
                head.uri = path_and_query.into();
            }
            let answer = self.deliver(&seat, Request::from_parts(head, body)).await;
            answer.map_err(|error| match error {
                TransportError::Unreachable(why) => OutgoingError::Connect(why),
                TransportError::Timeout(_) => OutgoingError::Timeout,
                TransportError::Broken(_) | TransportError::TooLarge(_) => {
                    OutgoingError::Broken(error.to_string())
                }
            })
        }
        .boxed()
    }

    fn reachable<'a>(&'a self, url: &'a str) -> BoxFuture<'a, bool> {
        let is_up = self.at(url).is_some_and(|seat| seat.is_up());
        std::future::ready(is_up).boxed()
    }
}

/// A transaction on its way to a service. Until it has succeeded, however it ends, the host will
/// bring it again.
struct Bringing<'a> {
    seat: Option<&'a Seat>,
    is_taken: bool,
}

impl<'a> Bringing<'a> {
    fn begin(seat: &'a Seat, request: &Request<Bytes>) -> Self {
        let is_transaction = request.uri().path().contains("/transactions/");
        Self {
            seat: is_transaction.then_some(seat),
            is_taken: false,
        }
    }

    fn end(mut self, answer: &Result<Response<Bytes>, TransportError>) {
        self.is_taken = answer
            .as_ref()
            .is_ok_and(|answer| answer.status().is_success());
    }
}

impl Drop for Bringing<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            seat.note_transaction(self.is_taken);
        }
    }
}

impl Target<'_> {
    /// Whether somebody is there, as far as can be told beforehand.
    fn is_up(&self) -> bool {
        match self {
            Self::Host(port) => port.is_up(),
            Self::Service(seat) => seat.is_up(),
        }
    }

    async fn reach(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let seat = match self {
            Self::Host(port) => return port.call(request).await,
            Self::Service(seat) => seat,
        };
        let Some((service, life)) = seat.service() else {
            return Err(TransportError::Unreachable("nobody listens".to_owned()));
        };
        tokio::select! {
            biased;
            () = seat.life_ends(life) => {
                Err(TransportError::Broken("the service was taken down".to_owned()))
            }
            answer = service.call(request) => Ok(answer),
        }
    }
}

/// Carries a request to where it goes, through its fault.
async fn carry(
    target: &Target<'_>,
    act: Option<&Act>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let Some(act) = act else {
        return target.reach(request).await;
    };
    match act {
        Act::LoseRequest => Err(TransportError::Unreachable("the lab lost it".to_owned())),
        Act::LoseAnswer => {
            target.reach(request).await?;
            Err(TransportError::Broken("the lab lost the answer".to_owned()))
        }
        Act::Double => {
            // Whatever the first came to, the second is sent.
            target.reach(request.clone()).await.ok();
            target.reach(request).await
        }
        Act::DelayAnswer(by) => {
            let answer = target.reach(request).await;
            sleep(*by).await;
            answer
        }
        Act::Answer(answer) => Ok(answer.clone()),
        Act::CutRequest => {
            let mut request = request.map(half);
            request.headers_mut().remove(CONTENT_LENGTH);
            target.reach(request).await
        }
        Act::CutAnswer => {
            let mut answer = target.reach(request).await?.map(half);
            answer.headers_mut().remove(CONTENT_LENGTH);
            Ok(answer)
        }
    }
}

fn half(mut body: Bytes) -> Bytes {
    body.truncate(body.len() / 2);
    body
}
