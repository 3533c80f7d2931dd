//! Requests to an application service: addresses, tokens, dialects, limits.
//!
//! A service of the protocol's first years answers only on paths without `/_matrix/app/v1` and
//! may read its token from the query alone. Which dialect it speaks is found out once, remembered,
//! and looked at again from time to time. `carrier` brings the requests there.

mod carrier;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

pub(super) use self::carrier::call_error;
use self::carrier::{Carrier, Parcel};
use crate::{secret::Secret, surroundings::Outgoing};

/// Everything but the unreserved characters of RFC 3986 is escaped.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The service answers only on paths without `/_matrix/app/v1`.
pub(super) const LEGACY_PATHS: u8 = 1;
/// The service reads its token from the query.
pub(super) const QUERY_TOKEN: u8 = 2;

/// One service's address and how to talk to it.
pub(crate) struct Wire {
    carrier: Carrier,
    base: String,
    hs_token: Secret,
    old_tokens: Vec<OldHsToken>,
    always_query_token: bool,
    request_timeout: Duration,
    dialect: Arc<Dialect>,
}

/// A token that the service may still know the server by.
#[derive(Clone)]
pub(crate) struct OldHsToken {
    /// The token.
    pub(crate) token: Secret,
    /// Until when it is shown (ms).
    pub(crate) until_ms: i64,
}

/// What was found out about a service's habits; one for all its wires.
struct Dialect {
    habits: AtomicU8,
    /// A versioned path has worked since the server started.
    versioned_works: AtomicBool,
    /// When the old habits were last questioned, ms since the epoch; zero: not in this life.
    probed_at: AtomicI64,
    reprobe_after: Duration,
}

impl Dialect {
    fn habits(&self) -> u8 {
        self.habits.load(Ordering::Relaxed)
    }

    fn has(&self, habit: u8) -> bool {
        self.habits() & habit != 0
    }

    fn learn(&self, habit: u8) {
        self.habits.fetch_or(habit, Ordering::Relaxed);
    }

    fn unlearn(&self, habit: u8) {
        self.habits.fetch_and(!habit, Ordering::Relaxed);
    }

    /// Whether it is time to see if the service still has its old habits. What an earlier life
    /// remembered is believed for as long as what was found out now.
    fn is_stale(&self, now_ms: i64) -> bool {
        let probed_at = self.probed_at.load(Ordering::Relaxed);
        let age_ms = u64::try_from(now_ms - probed_at).unwrap_or(0);
        let stale = probed_at != 0 && Duration::from_millis(age_ms) >= self.reprobe_after;
        if stale || probed_at == 0 {
            self.probed_at.store(now_ms, Ordering::Relaxed);
        }
        stale && self.habits() != 0
    }
}

/// Why a request brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection could be made: wrong address, nobody listens, TLS refused.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The service did not answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection broke before the answer was complete.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// What a service answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body, cut after its first MiB.
    pub(crate) body: Bytes,
}

impl Answer {
    /// The start of the body as text, for people.
    pub(crate) fn head(&self) -> String {
        const SHOWN: usize = 512;
        String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN)]).into_owned()
    }
}

/// A request to a service, in the current path and, where there was one, in the legacy path.
pub(crate) struct Call<'a> {
    /// GET, PUT or POST.
    pub(crate) method: Method,
    /// Below `/_matrix/app/v1`.
    pub(crate) path: &'a str,
    /// The path of the protocol's first years.
    pub(crate) legacy_path: Option<&'a str>,
    /// Query parameters.
    pub(crate) query: &'a [(String, String)],
    /// JSON body.
    pub(crate) body: Option<Bytes>,
}

/// What a [`Wire`] is made of.
pub(crate) struct WireConfig {
    /// The service's url.
    pub(crate) base: String,
    /// The token to show.
    pub(crate) hs_token: Secret,
    /// Tokens to show for a while where that one is refused.
    pub(crate) old_tokens: Vec<OldHsToken>,
    /// The registration asks for the token in the query as well.
    pub(crate) always_query_token: bool,
    /// For the connection.
    pub(crate) connect_timeout: Duration,
    /// For the whole exchange, the answer's last byte included.
    pub(crate) request_timeout: Duration,
    /// How long a legacy dialect is believed.
    pub(crate) reprobe_after: Duration,
    /// The dialect remembered.
    pub(crate) dialect: u8,
    /// Carries the requests, in place of sockets.
    pub(crate) outgoing: Option<Arc<dyn Outgoing>>,
}

impl Wire {
    /// Two wires, for pushes and for questions, so that neither waits for the other. What one of
    /// them finds out about the service the other knows too.
    pub(crate) fn pair(config: WireConfig) -> Result<(Self, Self), reqwest::Error> {
        let dialect = Arc::new(Dialect {
            habits: AtomicU8::new(config.dialect),
            versioned_works: AtomicBool::new(false),
            probed_at: AtomicI64::new(0),
            reprobe_after: config.reprobe_after,
        });
        let push = Self::new(&config, dialect.clone())?;
        Ok((push, Self::new(&config, dialect)?))
    }

    fn new(config: &WireConfig, dialect: Arc<Dialect>) -> Result<Self, reqwest::Error> {
        let carrier = Carrier::new(config.outgoing.clone(), config.connect_timeout)?;
        Ok(Self {
            carrier,
            base: config.base.clone(),
            hs_token: config.hs_token.clone(),
            old_tokens: config.old_tokens.clone(),
            always_query_token: config.always_query_token,
            request_timeout: config.request_timeout,
            dialect,
        })
    }

    /// The dialect to remember; changes when [`Wire::call`] learnt something.
    pub(crate) fn dialect(&self) -> u8 {
        self.dialect.habits()
    }

    /// Whether somebody accepts connections at the service's address; `false` too where that is
    /// not known `within` the time.
    pub(crate) async fn is_reachable(&self, within: Duration) -> bool {
        let probe = self.carrier.is_reachable(&self.base);
        timeout(within, probe).await.unwrap_or(false)
    }

    /// Sends a request in the service's dialect; finds the dialect out where needed.
    ///
    /// The header alone and the versioned path come first, and again when what was found out is
    /// old; a service that is known for its old habits is asked in its way.
    ///
    /// # Errors
    /// When no complete answer came. An answer of any status is an `Ok`.
    pub(crate) async fn call(&self, call: &Call<'_>, now_ms: i64) -> Result<Answer, CallError> {
        let answer = self.call_with(&self.hs_token, call, now_ms).await?;
        if !is_refusal(&answer) {
            return Ok(answer);
        }
        // Newest first: a service that missed the last rotation knows the one before it.
        for old in self.old_tokens.iter().rev() {
            if now_ms >= old.until_ms {
                continue;
            }
            let again = self.call_with(&old.token, call, now_ms).await?;
            if !is_refusal(&again) {
                return Ok(again);
            }
        }
        Ok(answer)
    }

    async fn call_with(
        &self,
        token: &Secret,
        call: &Call<'_>,
        now_ms: i64,
    ) -> Result<Answer, CallError> {
        let stale = self.dialect.is_stale(now_ms);
        let Some(legacy_path) = call.legacy_path else {
            return self.versioned(token, call, stale).await;
        };
        if self.dialect.has(LEGACY_PATHS) && !stale {
            let legacy = self.with_token(token, call, legacy_path, false).await?;
            if !looks_unrouted(call, &legacy) {
                return Ok(legacy);
            }
            // Either the service says no in its old way, or it has been renewed.
            let answer = self.versioned(token, call, false).await?;
            return Ok(if self.dialect.has(LEGACY_PATHS) {
                legacy
            } else {
                answer
            });
        }
        let answer = self.versioned(token, call, stale).await?;
        // A service whose versioned paths work means its 404 to a question; but one that does not
        // take a transaction there any more may have been replaced by an older one.
        let doubtful =
            call.method == Method::PUT || !self.dialect.versioned_works.load(Ordering::Relaxed);
        let try_legacy =
            self.dialect.has(LEGACY_PATHS) || doubtful && looks_unrouted(call, &answer);
        if answer.status.is_success() || !try_legacy {
            return Ok(answer);
        }
        let legacy = self.with_token(token, call, legacy_path, false).await?;
        if legacy.status.is_success() {
            self.dialect.learn(LEGACY_PATHS);
            self.dialect.versioned_works.store(false, Ordering::Relaxed);
        }
        // Where neither path works the current one's answer says more.
        Ok(if looks_unrouted(call, &legacy) {
            answer
        } else {
            legacy
        })
    }

    /// Sends to the current path, and learns from a success that the service knows it.
    async fn versioned(
        &self,
        token: &Secret,
        call: &Call<'_>,
        stale: bool,
    ) -> Result<Answer, CallError> {
        let path = format!("/_matrix/app/v1{}", call.path);
        let answer = self.with_token(token, call, &path, stale).await?;
        if call.legacy_path.is_some() && answer.status.is_success() {
            self.dialect.unlearn(LEGACY_PATHS);
            self.dialect.versioned_works.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Header always; the query too where the registration asks for it or the header alone was
    /// refused. `stale`: see whether the header is enough by now.
    async fn with_token(
        &self,
        token: &Secret,
        call: &Call<'_>,
        path: &str,
        stale: bool,
    ) -> Result<Answer, CallError> {
        let habit = self.dialect.has(QUERY_TOKEN) && !stale;
        let in_query = self.always_query_token || habit;
        let answer = self.send(token, call, path, in_query).await?;
        if in_query {
            return Ok(answer);
        }
        if !is_refusal(&answer) {
            if answer.status.is_success() {
                self.dialect.unlearn(QUERY_TOKEN);
            }
            return Ok(answer);
        }
        let again = self.send(token, call, path, true).await?;
        if is_refusal(&again) {
            return Ok(answer);
        }
        if again.status.is_success() {
            self.dialect.learn(QUERY_TOKEN);
        }
        Ok(again)
    }

    async fn send(
        &self,
        token: &Secret,
        call: &Call<'_>,
        path: &str,
        token_in_query: bool,
    ) -> Result<Answer, CallError> {
        let url = self.url(call.query, path, token_in_query.then_some(token));
        let parcel = Parcel {
            method: &call.method,
            url: &url,
            token,
            body: call.body.as_ref(),
        };
        let answer = self.carrier.carry(&parcel, self.request_timeout).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        // Operators are shown what a service says when it fails, and an error page may show the
        // request it fails at.
        Ok(Answer {
            body: withhold(answer.body, &self.hs_token),
            ..answer
        })
    }

    fn url(&self, query: &[(String, String)], path: &str, token: Option<&Secret>) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query);
        if let Some(token) = token {
            pairs.append_pair("access_token", token.expose());
        }
        let query = pairs.finish();
        if query.is_empty() {
            format!("{}{path}", self.base)
        } else {
            format!("{}{path}?{query}", self.base)
        }
    }
}

/// The body without the token, as it is or as it stands in a query.
fn withhold(body: Bytes, token: &Secret) -> Bytes {
    let plain = token.expose();
    let encoded: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let escaped = escape(plain);
    let text = String::from_utf8_lossy(&body);
    let forms = [plain, &encoded, &escaped];
    if plain.is_empty() || !forms.iter().any(|form| text.contains(form)) {
        return body;
    }
    let clean = forms
        .iter()
        .fold(text.into_owned(), |text, form| text.replace(form, "***"));
    clean.into()
}

/// Whether an answer says "no such path here", as opposed to the service's own *no*: an error in
/// the protocol's form, which a transaction cannot be answered with a 404.
fn looks_unrouted(call: &Call<'_>, answer: &Answer) -> bool {
    #[derive(serde::Deserialize)]
    struct Body {
        errcode: String,
    }
    let status = matches!(
        answer.status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    );
    let own = || {
        serde_json::from_slice::<Body>(&answer.body)
            .is_ok_and(|body| body.errcode != "M_UNRECOGNIZED")
    };
    status && (call.method == Method::PUT || !own())
}

fn is_refusal(answer: &Answer) -> bool {
    matches!(
        answer.status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    )
}

/// Escapes an id to stand in a path.
pub(crate) fn escape(id: &str) -> String {
    utf8_percent_encode(id, UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::withhold;
    use crate::secret::Secret;

    #[test]
    fn an_error_page_does_not_show_the_token() {
        let token = Secret::new("to+ken/1".to_owned());
        for (page, shown) in [
            ("no such path", "no such path"),
            ("GET /?access_token=to%2Bken%2F1", "GET /?access_token=***"),
            ("Bearer to+ken/1 refused", "Bearer *** refused"),
        ] {
            assert_eq!(withhold(Bytes::from(page), &token), shown);
        }
        let odd = Bytes::from_static(b"\xff\xfe");
        assert_eq!(withhold(odd.clone(), &token), odd);
    }
}
