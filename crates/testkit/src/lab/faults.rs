//! Faults between host and services, planned ahead and used up one by one.
//!
//! A fault waits for the first request that it is for. They are looked at in the order in which
//! they were planned; one request meets one fault at most.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::json;

use super::mount::Mounted;

/// Faults that may wait at once.
const MAX_PLANNED: usize = 10_000;

/// Which way a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// From the host to a service: transactions, queries, pings.
    Delivery,
    /// From a service to the host.
    Call,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    LoseRequest,
    LoseAnswer,
    Double,
    DelayAnswer(Duration),
    Answer(Response<Bytes>),
    CutRequest,
    CutAnswer,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoseRequest => f.write_str("request lost"),
            Self::LoseAnswer => f.write_str("answer lost"),
            Self::Double => f.write_str("request doubled"),
            Self::DelayAnswer(by) => write!(f, "answer {by:?} late"),
            Self::Answer(answer) => write!(f, "answered {} on the way", answer.status().as_u16()),
            Self::CutRequest => f.write_str("request cut"),
            Self::CutAnswer => f.write_str("answer cut"),
        }
    }
}

/// How a 429 says when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not at all.
    Unsaid,
    /// `retry_after_ms` in the body, as homeservers did at first.
    InBody(Duration),
    /// `Retry-After` in the header, in whole seconds.
    InHeader(Duration),
}

/// A fault to be planned with [`Faults::plan`]: which requests it is for, and what happens to them.
///
/// ```
/// # use bridgehead_testkit::lab::Fault;
/// // The host stores the event, and the service never hears that it did.
/// let fault = Fault::of_calls().put("/send/").lose_answer();
/// # drop(fault);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a fault happens once it is planned"]
pub struct Fault {
    side: Side,
    service: Option<String>,
    method: Option<Method>,
    path: String,
    times: usize,
    act: Act,
}

impl Fault {
    /// For requests of services to the host. The request is lost unless another end is chosen.
    pub fn of_calls() -> Self {
        Self::new(Side::Call)
    }

    /// For requests of the host to services. The request is lost unless another end is chosen.
    pub fn of_deliveries() -> Self {
        Self::new(Side::Delivery)
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            service: None,
            method: None,
            path: String::new(),
            times: 1,
            act: Act::LoseRequest,
        }
    }

    /// Only those of one service.
    pub fn service(self, service: &Mounted) -> Self {
        Self {
            service: Some(service.id().to_owned()),
            ..self
        }
    }

    /// Only with this method, on paths that contain this text (as it stands in the path, escapes
    /// and all), such as `/join/`.
    pub fn on(self, method: Method, path: &str) -> Self {
        Self {
            method: Some(method),
            path: path.to_owned(),
            ..self
        }
    }

    /// The same for `PUT`, such as `/send/` or `/transactions/`.
    pub fn put(self, path: &str) -> Self {
        self.on(Method::PUT, path)
    }

    /// For so many requests instead of one.
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    fn act(self, act: Act) -> Self {
        Self { act, ..self }
    }

    /// It never arrives: the connection could not be made.
    pub fn lose_request(self) -> Self {
        self.act(Act::LoseRequest)
    }

    /// It arrives and is answered, and whoever asked sees the connection break.
    pub fn lose_answer(self) -> Self {
        self.act(Act::LoseAnswer)
    }

    /// It arrives twice, one after the other; the second answer counts.
    pub fn double(self) -> Self {
        self.act(Act::Double)
    }

    /// It arrives at once, and the answer comes so much later.
    pub fn delay_answer(self, by: Duration) -> Self {
        self.act(Act::DelayAnswer(by))
    }

    /// It does not arrive, and something on the way (a proxy, an overloaded worker) answers.
    pub fn answer(self, answer: Response<Bytes>) -> Self {
        self.act(Act::Answer(answer))
    }

    /// The same with a page that is no JSON, as a proxy answers.
    pub fn answer_status(self, status: StatusCode) -> Self {
        let mut answer = Response::new(Bytes::from_static(b"<h1>something is wrong</h1>"));
        *answer.status_mut() = status;
        self.answer(answer)
    }

    /// It does not arrive, and is answered 429.
    pub fn answer_429(self, after: RetryAfter) -> Self {
        self.answer(too_many(after))
    }

    /// Half of its body arrives, as if that were all.
    pub fn cut_request(self) -> Self {
        self.act(Act::CutRequest)
    }

    /// It is answered, and half of the answer's body comes back, as if that were all.
    pub fn cut_answer(self) -> Self {
        self.act(Act::CutAnswer)
    }

    fn is_for(&self, side: Side, service: &str, request: &Request<Bytes>) -> bool {
        self.side == side
            && self.service.as_deref().is_none_or(|only| only == service)
            && self
                .method
                .as_ref()
                .is_none_or(|only| only == request.method())
            && request.uri().path().contains(&self.path)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service.as_deref().unwrap_or("any service");
        let method = self.method.as_ref().map_or("any", Method::as_str);
        let way = match self.side {
            Side::Delivery => "to",
            Side::Call => "from",
        };
        write!(
            f,
            "{} × {method} …{}… {way} {service}: {}",
            self.times, self.path, self.act
        )
    }
}

fn too_many(after: RetryAfter) -> Response<Bytes> {
    let mut body = json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "Too many requests" });
    let mut answer = Response::new(Bytes::new());
    match after {
        RetryAfter::Unsaid => {}
        RetryAfter::InBody(after) => {
            body["retry_after_ms"] = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into();
        }
        RetryAfter::InHeader(after) => {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            let headers = answer.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
    }
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    *answer.body_mut() = Bytes::from(body.to_string());
    answer
}

/// The faults of a lab. Clones share them.
#[derive(Clone, Default)]
pub struct Faults {
    planned: Arc<Mutex<Vec<Fault>>>,
}

impl Faults {
    /// Plans a fault.
    ///
    /// # Panics
    /// When 10,000 wait already.
    pub fn plan(&self, fault: Fault) {
        let mut planned = self.planned.lock();
        assert!(planned.len() < MAX_PLANNED, "too many faults are planned");
        if fault.times > 0 {
            planned.push(fault);
        }
    }

    /// The service takes the next transaction, and the host never hears that it did.
    pub fn lose_next_ack(&self, service: &Mounted) {
        self.plan(transactions(service).lose_answer());
    }

    /// The next transaction arrives twice.
    pub fn double_next_transaction(&self, service: &Mounted) {
        self.plan(transactions(service).double());
    }

    /// The answer to the next transaction comes so much later.
    pub fn delay_ack(&self, service: &Mounted, by: Duration) {
        self.plan(transactions(service).delay_answer(by));
    }

    /// Half of the next transaction arrives.
    pub fn cut_next_transaction(&self, service: &Mounted) {
        self.plan(transactions(service).cut_request());
    }

    /// The host answers 429 to the next call of a service.
    pub fn answer_429_next(&self, after: RetryAfter) {
        self.plan(Fault::of_calls().answer_429(after));
    }

    /// The host answers 502 to the next so many calls of services.
    pub fn answer_5xx_next(&self, calls: usize) {
        let fault = Fault::of_calls().answer_status(StatusCode::BAD_GATEWAY);
        self.plan(fault.times(calls));
    }

    /// Half of the host's answer to the next call of a service comes back.
    pub fn cut_body_next(&self) {
        self.plan(Fault::of_calls().cut_answer());
    }

    /// What was planned and has not happened, one line each; what is left of a fault for several
    /// requests is one line.
    pub fn unused(&self) -> Vec<String> {
        self.planned
            .lock()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Forgets what has not happened yet.
    pub fn clear(&self) {
        self.planned.lock().clear();
    }

    /// What is to happen to a request.
    pub(super) fn take(&self, side: Side, service: &str, request: &Request<Bytes>) -> Option<Act> {
        let mut planned = self.planned.lock();
        let mut faults = planned.iter();
        let index = faults.position(|fault| fault.is_for(side, service, request))?;
        let fault = &mut planned[index];
        fault.times -= 1;
        let act = fault.act.clone();
        planned.retain(|fault| fault.times > 0);
        Some(act)
    }
}

fn transactions(service: &Mounted) -> Fault {
    Fault::of_deliveries()
        .service(service)
        .put("/transactions/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str) -> Request<Bytes> {
        let request = Request::builder().method(method).uri(path);
        request.body(Bytes::new()).unwrap()
    }

    #[test]
    fn a_fault_meets_the_requests_it_is_for_and_no_more() {
        let faults = Faults::default();
        faults.plan(Fault::of_calls().put("/send/").lose_answer().times(2));
        faults.answer_429_next(RetryAfter::InHeader(Duration::from_millis(1_500)));
        let send = request(
            Method::PUT,
            "/_matrix/client/v3/rooms/!a/send/m/1?user_id=@b",
        );
        let join = request(Method::POST, "/_matrix/client/v3/join/!a");

        assert!(faults.take(Side::Delivery, "irc", &send).is_none());
        let Some(Act::Answer(answer)) = faults.take(Side::Call, "irc", &join) else {
            panic!("a join is any call");
        };
        assert_eq!(answer.headers()["retry-after"], "2");
        assert!(faults.take(Side::Call, "irc", &join).is_none());
        assert!(matches!(
            faults.take(Side::Call, "irc", &send),
            Some(Act::LoseAnswer)
        ));
        let left = ["1 × PUT …/send/… from any service: answer lost"];
        assert_eq!(faults.unused(), left);
        assert!(faults.take(Side::Call, "log", &send).is_some());
        assert!(faults.take(Side::Call, "log", &send).is_none());
    }
}
