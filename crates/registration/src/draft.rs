//! What a person or program decides about a registration, and the text that is made of it: with fresh tokens the
//! first time, with the old ones ever after.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{
    AsUrl, BridgeheadOptions, Change, Fault, Features, HIDDEN, Namespace, Registration,
    RegistrationError, Secret, UnknownKey, diff::changes_between, parse, render::render,
};

/// 48 random bytes make 64 characters of base64url.
const TOKEN_BYTES: usize = 48;
/// What stands for the file of a text that is in none yet.
const NO_FILE: &str = "new registration";

/// What the one who makes a registration decides; the tokens are made.
///
/// The default has no namespaces and wants nothing: `RegistrationDraft { id, url, sender_localpart, ..Default::default() }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Optional behaviour that the service asks for.
    pub features: Features,
    /// Networks (CIDR) that may use `as_token`; empty means everywhere.
    pub ip_range_whitelist: Vec<String>,
    /// The `io.bridgehead` block.
    pub bridgehead: BridgeheadOptions,
    /// Keys that this crate does not know, such as another vendor's flags.
    pub unknown: Vec<UnknownKey>,
}

/// A registration that was made of a draft.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The file's text, tokens included.
    pub text: Secret,
    /// The same, read back. Its [`source`](Registration::source) names no file yet.
    pub registration: Registration,
    /// What is other than in the registration before; empty where there was none.
    pub changes: Vec<Change>,
}

impl Generated {
    /// Whether the text says anything else than the registration before.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changes.iter().any(Change::is_edit)
    }
}

impl From<&Registration> for RegistrationDraft {
    fn from(registration: &Registration) -> Self {
        Self {
            id: registration.id.clone(),
            url: registration.url.as_ref().map(|url| url.as_str().to_owned()),
            sender_localpart: registration.sender_localpart.clone(),
            users: registration.users.clone(),
            aliases: registration.aliases.clone(),
            rooms: registration.rooms.clone(),
            protocols: registration.protocols.clone(),
            rate_limited: registration.rate_limited,
            features: registration.features,
            ip_range_whitelist: registration.ip_range_whitelist.clone(),
            bridgehead: registration.bridgehead,
            unknown: registration.unknown.clone(),
        }
    }
}

impl RegistrationDraft {
    /// A new registration with fresh tokens. `fill` fills its argument with random bytes; it is called twice, and
    /// must be fit for secrets.
    ///
    /// # Errors
    /// What is wrong with the draft, as if the file had been loaded; lines count in the text that would have been made.
    pub fn generate(
        &self,
        mut fill: impl FnMut(&mut [u8]),
    ) -> Result<Generated, Vec<RegistrationError>> {
        self.refuse_odd_url()?;
        self.with_tokens(&token(&mut fill), &token(&mut fill))
    }

    /// The registration `before`, brought up to this draft. Servers and services go on as before, because the id and
    /// both tokens stay. What also stays:
    ///
    /// - keys that nobody here knows, unless the draft has them;
    /// - `ip_range_whitelist` and each choice in `io.bridgehead`, where the draft says nothing;
    /// - the sender, where the draft's sender is there as a namespace's user ([`BotLayout::Namespaced`]) on
    ///   `server_name`; then that namespace stays too.
    ///
    /// All else is as the draft says.
    ///
    /// # Errors
    /// What is wrong with the draft, as in [`generate`](Self::generate), or that the tokens of `before` are hidden.
    ///
    /// [`BotLayout::Namespaced`]: crate::BotLayout::Namespaced
    pub fn regenerate(
        &self,
        before: &Registration,
        server_name: &str,
    ) -> Result<Generated, Vec<RegistrationError>> {
        let tokens = [before.as_token.expose(), before.hs_token.expose()];
        if tokens.contains(&HIDDEN) {
            return Err(vec![fault(
                "the tokens of the registration before are hidden",
                "Use the file that the service itself reads",
            )]);
        }
        self.refuse_odd_url()?;
        let draft = self.brought_over(before, server_name);
        let mut generated = draft.with_tokens(tokens[0], tokens[1])?;
        generated.changes = changes_between(before, &generated.registration);
        for (field, kept, drafted) in [
            ("id", &draft.id, &self.id),
            (
                "sender_localpart",
                &draft.sender_localpart,
                &self.sender_localpart,
            ),
        ] {
            if kept != drafted {
                generated.changes.push(Change::Kept {
                    field: field.to_owned(),
                    value: kept.clone(),
                    drafted: drafted.clone(),
                });
            }
        }
        Ok(generated)
    }

    /// The draft with all that stays of the registration before.
    fn brought_over(&self, before: &Registration, server_name: &str) -> Self {
        let mut draft = Self {
            id: before.id.clone(),
            bridgehead: self.bridgehead.or(before.bridgehead),
            ..self.clone()
        };
        if draft.ip_range_whitelist.is_empty() {
            draft
                .ip_range_whitelist
                .clone_from(&before.ip_range_whitelist);
        }
        let mut unknown = before.unknown.clone();
        unknown.retain(|kept| self.unknown.iter().all(|entry| entry.key != kept.key));
        unknown.append(&mut draft.unknown);
        draft.unknown = unknown;
        let bot = format!("@{}:{server_name}", self.sender_localpart);
        let of_bot = before
            .users
            .iter()
            .find(|namespace| namespace.is_exactly(&bot));
        if let Some(of_bot) = of_bot
            && before.sender_localpart != self.sender_localpart
        {
            draft.sender_localpart.clone_from(&before.sender_localpart);
            if !draft.users.iter().any(|own| own.is_exactly(&bot)) {
                draft.users.insert(0, of_bot.clone());
            }
        }
        draft
    }

    fn with_tokens(
        &self,
        as_token: &str,
        hs_token: &str,
    ) -> Result<Generated, Vec<RegistrationError>> {
        let text = render(self, as_token, hs_token);
        let (registration, _) = parse(Path::new(NO_FILE), text.expose().as_bytes())?;
        Ok(Generated {
            text,
            registration,
            changes: Vec::new(),
        })
    }

    /// Files of others may say anything there; in one of ours it is a mistake, mostly a forgotten `http://`.
    fn refuse_odd_url(&self) -> Result<(), Vec<RegistrationError>> {
        match self.url.as_deref().and_then(AsUrl::of) {
            Some(AsUrl::Unix(url) | AsUrl::Websocket(url)) if url != "websocket" => {
                Err(vec![fault(
                    format!("the url `{url}` is no http or https address"),
                    "Write it like http://localhost:9000, or `websocket` for a service that opens one",
                )])
            }
            _ => Ok(()),
        }
    }
}

fn token(fill: &mut impl FnMut(&mut [u8])) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0_u8; TOKEN_BYTES]);
    fill(bytes.as_mut_slice());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

fn fault(reason: impl Into<String>, remedy: &str) -> RegistrationError {
    RegistrationError {
        fault: Fault::Other,
        file: NO_FILE.into(),
        line: None,
        column: None,
        reason: reason.into(),
        remedy: remedy.to_owned(),
    }
}
