//! `AUTHENTICATE`: logging in (IRCv3 sasl-3.1 and -3.2).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bridgehead_irc_protocol::Line;

use crate::{
    sasl::{self, Exchange, Mechanism, Step},
    state::{State, client::ClientId},
};

/// Bytes of one piece; a piece of this length is followed by another.
const PIECE_BYTES: usize = 400;
/// Bytes of one message in Base64.
const MESSAGE_BYTES: usize = 4_000;

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let piece = line.text(0).into_owned();
    let Some(client) = state.client_mut(id).filter(|client| client.has("sasl")) else {
        state.reply(id, "904", ["SASL authentication failed"]);
        return;
    };
    let exchange = client.progress.exchange.take();
    match exchange {
        _ if piece == "*" => state.reply(id, "906", ["SASL authentication aborted"]),
        None => begin(state, id, &piece),
        Some(_) if piece.len() > PIECE_BYTES => {
            state.reply(id, "905", ["SASL message too long"]);
        }
        Some(exchange) => go_on(state, id, exchange, &piece),
    }
}

fn begin(state: &mut State, id: ClientId, name: &str) {
    let offered = &state.dialect.mechanisms;
    let is_offered = offered.iter().any(|known| known.eq_ignore_ascii_case(name));
    match Mechanism::named(name).filter(|_| is_offered) {
        Some(mechanism) => {
            ask(state, id, mechanism);
            say(state, id, "+");
        }
        None => {
            let offered = offered.join(",");
            state.reply(
                id,
                "908",
                [offered.as_str(), "are available SASL mechanisms"],
            );
            refuse(state, id);
        }
    }
}

fn ask(state: &mut State, id: ClientId, mechanism: Mechanism) {
    if let Some(client) = state.client_mut(id) {
        client.progress.exchange = Some(Exchange {
            mechanism,
            pieces: String::new(),
        });
    }
}

fn go_on(state: &mut State, id: ClientId, mut exchange: Exchange, piece: &str) {
    if piece != "+" {
        exchange.pieces.push_str(piece);
    }
    if exchange.pieces.len() > MESSAGE_BYTES {
        state.reply(id, "905", ["SASL message too long"]);
        return;
    }
    if piece.len() == PIECE_BYTES {
        if let Some(client) = state.client_mut(id) {
            client.progress.exchange = Some(exchange);
        }
        return;
    }
    let Ok(message) = STANDARD.decode(&exchange.pieces) else {
        refuse(state, id);
        return;
    };
    let mut mechanism = exchange.mechanism;
    match step(state, id, &mut mechanism, &message) {
        Step::Say(text) => {
            ask(state, id, mechanism);
            say(state, id, &STANDARD.encode(text));
        }
        Step::Done(account) => {
            log_in(state, id, Some(&account));
            state.reply(id, "903", ["SASL authentication successful"]);
        }
        Step::Refused => refuse(state, id),
    }
}

fn step(state: &mut State, id: ClientId, mechanism: &mut Mechanism, message: &[u8]) -> Step {
    match mechanism {
        Mechanism::Plain => plain(state, message),
        Mechanism::External => external(state, id, message),
        Mechanism::Scram(scram) => {
            let nonce = format!("server{}", state.next_id());
            scram.take(message, &nonce, |account| {
                let account = state.accounts.get(&state.fold(account))?;
                account.password.clone()
            })
        }
    }
}

fn plain(state: &State, message: &[u8]) -> Step {
    let Some((name, password)) = sasl::plain(message) else {
        return Step::Refused;
    };
    let account = state.accounts.get(&state.fold(&name));
    match account.filter(|account| account.password.as_ref() == Some(&password)) {
        Some(account) => Step::Done(account.name.clone()),
        None => Step::Refused,
    }
}

/// The certificate opens an account; where the message names one it has to be that.
fn external(state: &State, id: ClientId, message: &[u8]) -> Step {
    let wanted = String::from_utf8_lossy(message);
    let fingerprint = state
        .client(id)
        .and_then(|client| client.peer.fingerprint.as_ref());
    let account = fingerprint.and_then(|fingerprint| {
        let mut accounts = state.accounts.values();
        accounts.find(|account| {
            let is_wanted = wanted.is_empty() || state.fold(&account.name) == state.fold(&wanted);
            is_wanted && account.fingerprints.contains(fingerprint)
        })
    });
    account.map_or(Step::Refused, |account| Step::Done(account.name.clone()))
}

fn refuse(state: &mut State, id: ClientId) {
    state.reply(id, "904", ["SASL authentication failed"]);
}

fn say(state: &mut State, id: ClientId, text: &str) {
    // No message of this server is as long as a piece, so none is cut.
    state.send(id, Line::new("AUTHENTICATE", [text]));
}

/// Logs somebody in or out, and tells those around (900, 901, account-notify).
pub(crate) fn log_in(state: &mut State, id: ClientId, account: Option<&str>) {
    let Some(client) = state.client_mut(id) else {
        return;
    };
    client.account = account.map(str::to_owned);
    let is_registered = client.is_registered();
    let mut source = client.source();
    for part in [
        Some(&mut source.name),
        source.user.as_mut(),
        source.host.as_mut(),
    ] {
        if let Some(part) = part.filter(|part| part.is_empty()) {
            "*".clone_into(part);
        }
    }
    let source = source.to_string();
    match account {
        Some(account) => {
            let text = format!("You are now logged in as {account}");
            state.reply(id, "900", [source.as_str(), account, &text]);
        }
        None => state.reply(id, "901", [source.as_str(), "You are now logged out"]),
    }
    if is_registered {
        let line = Line::new("ACCOUNT", [account.unwrap_or("*")]);
        state.tell_peers(id, "account-notify", line, true);
    }
}
