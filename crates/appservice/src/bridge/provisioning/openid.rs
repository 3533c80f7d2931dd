//! Who is it? Asked of the person's homeserver, with a token that it has given them for that (client-server API,
//! *OpenID*; server-server API, `GET /_matrix/federation/v1/openid/userinfo`).
//!
//! The homeserver is named by whoever logs in, so only those are asked that the operator trusts, and what they say is
//! believed about their own users alone.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{TrustedServer, error::ProvisionError};
use crate::{
    client::{Call, Token},
    core::Core,
    id::UserId,
    web::{SaidBy, WebError},
};
use bridgehead_registration::Secret;

/// Bytes of an answer at most.
const MAX_ANSWER: usize = 64 << 10;

/// Longest server name, in bytes.
const MAX_SERVER_NAME: usize = 255;

/// Longest token, in bytes.
const MAX_TOKEN: usize = 4096;

/// The port of federation, where nothing else is said.
const FEDERATION_PORT: u16 = 8448;

/// What a client has from `POST …/openid/request_token`, as it is.
#[derive(Deserialize)]
pub(super) struct OpenIdToken {
    access_token: String,
    pub(super) matrix_server_name: String,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: UserId,
}

/// Whose homeservers are believed.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    pub(super) own: bool,
    pub(super) servers: Vec<TrustedServer>,
    pub(super) any: bool,
}

/// Where a homeserver is asked.
enum Place {
    /// Where the service asks everything.
    Own,
    /// There.
    At(Url, SaidBy),
}

/// Asks whose token it is.
pub(super) async fn verify(
    core: &Core,
    trust: &Trust,
    token: OpenIdToken,
) -> Result<UserId, ProvisionError> {
    let server = &token.matrix_server_name;
    if !is_server_name(server) {
        return Err(ProvisionError::bad_request(
            "`matrix_server_name` is no name of a server",
        ));
    }
    let access_token = Secret::new(token.access_token);
    if access_token.expose().is_empty() || access_token.expose().len() > MAX_TOKEN {
        return Err(ProvisionError::bad_request("`access_token` is none"));
    }
    let found = match place(core, trust, server).await? {
        Place::Own => ask_own(core, &access_token).await?,
        Place::At(base, said_by) => ask(core, base, said_by, &access_token).await?,
    };
    if !found.server().eq_ignore_ascii_case(server) {
        tracing::warn!(user = %found, server, "a homeserver vouches for somebody else's user");
        return Err(ProvisionError::forbidden(
            "the homeserver vouches for a user who is not its own",
        ));
    }
    Ok(found)
}

async fn place(core: &Core, trust: &Trust, server: &str) -> Result<Place, ProvisionError> {
    let named = trust
        .servers
        .iter()
        .find(|named| named.name.eq_ignore_ascii_case(server));
    if let Some(TrustedServer {
        address: Some(address),
        ..
    }) = named
    {
        return Ok(Place::At(address.clone(), SaidBy::Operator));
    }
    if trust.own && server.eq_ignore_ascii_case(&core.server_name) {
        return Ok(Place::Own);
    }
    if named.is_some() || trust.any {
        return discover(core, server)
            .await
            .map(|url| Place::At(url, SaidBy::Others));
    }
    let message = format!("people of {server} cannot log in here");
    Err(ProvisionError::forbidden(message))
}

/// Where a homeserver is, as it says itself (server-server API, *Resolving server names*, without SRV records).
async fn discover(core: &Core, server: &str) -> Result<Url, ProvisionError> {
    let no_address = || ProvisionError::bad_request("`matrix_server_name` leads to no address");
    let plain = Url::parse(&format!("https://{server}/")).map_err(|_| no_address())?;
    let is_name = matches!(plain.host(), Some(url::Host::Domain(_)));
    let has_port = server
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        return Ok(plain);
    }
    let delegated = if is_name {
        well_known(core, &plain).await
    } else {
        None
    };
    let mut url = match delegated {
        Some((name, Some(_))) => {
            return Url::parse(&format!("https://{name}/")).map_err(|_| no_address());
        }
        Some((name, None)) => Url::parse(&format!("https://{name}/")).map_err(|_| no_address())?,
        None => plain,
    };
    url.set_port(Some(FEDERATION_PORT))
        .map_err(|()| no_address())?;
    Ok(url)
}

/// The name and port that a server's own page names; a page that is not there, or makes no sense, names none.
async fn well_known(core: &Core, server: &Url) -> Option<(String, Option<u16>)> {
    let url = server.join("/.well-known/matrix/server").ok()?;
    let page = core.web.get_following(&url, MAX_ANSWER).await.ok()?;
    let page = Some(page).filter(|page| page.status().is_success())?;
    let page: Value = serde_json::from_slice(page.body()).ok()?;
    let name = page
        .get("m.server")?
        .as_str()
        .filter(|name| is_server_name(name))?;
    let port = name
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    Some((name.to_owned(), port))
}

async fn ask_own(core: &Core, token: &Secret) -> Result<UserId, ProvisionError> {
    let call = Call::get("/_matrix/federation/v1/openid/userinfo")
        .query("access_token", token.expose())
        .token(Token::None);
    match core.client.call::<UserInfo>(&call).await {
        Ok(found) => Ok(found.sub),
        Err(error) if error.status() == Some(401) => Err(not_known()),
        Err(error) => {
            tracing::warn!(%error, "the homeserver does not say whose an OpenID token is");
            Err(no_answer())
        }
    }
}

async fn ask(
    core: &Core,
    base: Url,
    said_by: SaidBy,
    token: &Secret,
) -> Result<UserId, ProvisionError> {
    let mut url = base;
    url.set_path("/_matrix/federation/v1/openid/userinfo");
    url.query_pairs_mut()
        .clear()
        .append_pair("access_token", token.expose());
    let answer = core.web.get(&url, said_by, MAX_ANSWER).await;
    let answer = answer.map_err(|error| {
        let host = url.host_str().unwrap_or_default();
        tracing::warn!(%error, host, "a homeserver does not say whose an OpenID token is");
        match error {
            WebError::Private(_) => ProvisionError::forbidden("this homeserver is not asked"),
            WebError::NotHttp | WebError::Transport(_) | WebError::Unusable(_) => no_answer(),
        }
    })?;
    match answer.status().as_u16() {
        200 => serde_json::from_slice::<UserInfo>(answer.body())
            .map(|found| found.sub)
            .map_err(|_| no_answer()),
        401 | 403 => Err(not_known()),
        _ => Err(no_answer()),
    }
}

fn not_known() -> ProvisionError {
    ProvisionError::unknown_token(
        "the homeserver does not know this OpenID token: ask it for a new one",
    )
}

fn no_answer() -> ProvisionError {
    ProvisionError::bad_gateway("the homeserver does not say whose this OpenID token is")
}

/// Host, `[IPv6]` or IPv4, with an optional port (appendix *Server Name*).
fn is_server_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    !name.is_empty() && name.len() <= MAX_SERVER_NAME && name.bytes().all(legal)
}
