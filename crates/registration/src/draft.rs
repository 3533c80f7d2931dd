//! A new registration file: fresh tokens, comments for the person who reads it, and proof that it loads.

use std::{fmt::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::{AsUrl, Fault, Namespace, RegistrationError, parse};

/// 48 random bytes make 64 characters of base64url.
const TOKEN_BYTES: usize = 48;

/// What the person who makes a registration decides; the tokens are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationDraft {
    /// Unique on the server, never to be changed.
    pub id: String,
    /// Where the service listens; `None` for one that only sends.
    pub url: Option<String>,
    /// Localpart of the service's own user.
    pub sender_localpart: String,
    /// User ids that the service owns or watches.
    pub users: Vec<Namespace>,
    /// Room aliases that the service owns or watches.
    pub aliases: Vec<Namespace>,
    /// Room ids that the service watches.
    pub rooms: Vec<Namespace>,
    /// Third-party protocols that the service answers for.
    pub protocols: Vec<String>,
    /// Whether ghosts are rate limited.
    pub rate_limited: bool,
    /// Whether the service wants typing, receipts and presence.
    pub receive_ephemeral: bool,
}

/// The text of a new registration file.
///
/// # Errors
/// What is wrong with the draft, as if the file had been loaded; lines count in the text that would have been made.
pub fn render_new<R: CryptoRng + ?Sized>(
    draft: &RegistrationDraft,
    rng: &mut R,
) -> Result<String, Vec<RegistrationError>> {
    let text = render(draft, &token(rng), &token(rng));
    let file = Path::new("new registration");
    let (registration, _) = parse(file, text.as_bytes())?;
    // Files of others may say anything there; in a new one it is a mistake, mostly a forgotten `http://`.
    if let Some(AsUrl::Unix(url) | AsUrl::Websocket(url)) = registration.url
        && url != "websocket"
    {
        return Err(vec![RegistrationError {
            fault: Fault::Other,
            file: file.to_owned(),
            line: None,
            column: None,
            reason: format!("the url `{url}` is no http or https address"),
            remedy:
                "Write it like http://localhost:9000, or `websocket` for a service that opens one"
                    .to_owned(),
        }]);
    }
    Ok(text)
}

fn token<R: CryptoRng + ?Sized>(rng: &mut R) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0_u8; TOKEN_BYTES]);
    rng.fill_bytes(bytes.as_mut_slice());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

fn render(draft: &RegistrationDraft, as_token: &str, hs_token: &str) -> String {
    let url = draft
        .url
        .as_deref()
        .map_or_else(|| "null".to_owned(), quoted);
    let mut text = format!(
        "# Registration of an application service. The server and the service both read it; keep it secret.\n\
         \n\
         # Unique on this server. Never change it once the service has run.\n\
         id: {id}\n\
         \n\
         # Where the server reaches the service. websocket or null: it comes for its events itself, if it wants any.\n\
         url: {url}\n\
         \n\
         # The service shows this token to the server.\n\
         as_token: {as_token}\n\
         # The server shows this token to the service.\n\
         hs_token: {hs_token}\n\
         \n\
         # The service's own user is @<sender_localpart>:<server name>.\n\
         sender_localpart: {sender}\n\
         \n\
         # Whether the users that the service makes are held to the server's rate limits.\n\
         rate_limited: {rate_limited}\n\
         # Whether the service is told of typing, read receipts and presence.\n\
         receive_ephemeral: {receive_ephemeral}\n",
        id = quoted(&draft.id),
        as_token = quoted(as_token),
        hs_token = quoted(hs_token),
        sender = quoted(&draft.sender_localpart),
        rate_limited = draft.rate_limited,
        receive_ephemeral = draft.receive_ephemeral,
    );
    if !draft.protocols.is_empty() {
        text.push_str("\n# Third-party protocols that the service answers for.\nprotocols:\n");
        for protocol in &draft.protocols {
            push_line(&mut text, &format!("  - {}", quoted(protocol)));
        }
    }
    text.push_str(
        "\n# What the service owns (exclusive: true) or watches. Patterns match from the start of the id, sigil included.\n\
         namespaces:\n",
    );
    push_namespaces(&mut text, "users", &draft.users);
    push_namespaces(&mut text, "aliases", &draft.aliases);
    push_namespaces(&mut text, "rooms", &draft.rooms);
    text
}

fn push_namespaces(text: &mut String, key: &str, namespaces: &[Namespace]) {
    if namespaces.is_empty() {
        push_line(text, &format!("  {key}: []"));
        return;
    }
    push_line(text, &format!("  {key}:"));
    for namespace in namespaces {
        push_line(text, &format!("    - regex: {}", quoted(&namespace.regex)));
        push_line(text, &format!("      exclusive: {}", namespace.exclusive));
    }
}

fn push_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

/// Single quotes keep a pattern's backslashes readable; what they cannot hold is escaped in double quotes.
fn quoted(value: &str) -> String {
    if value.chars().all(|c| (' '..='~').contains(&c)) {
        return format!("'{}'", value.replace('\'', "''"));
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => write!(text, "\\U{:08X}", u32::from(c)).expect("writing to a string cannot fail"),
        }
    }
    text.push('"');
    text
}
