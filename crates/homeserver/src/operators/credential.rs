//! From what a request shows to the operator behind it.

use super::Operator;
use crate::{
    app::App,
    http::{address::ClientAddress, auth::hash, error::ApiError},
    secret::Secret,
};

/// What a request shows, hashed: looking it up takes no longer for a nearly right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// An operator's token.
    Token([u8; 32]),
    /// The id of a browser's session.
    Session([u8; 32]),
}

impl Credential {
    /// A token as it was sent.
    pub(crate) fn token(token: &str) -> Self {
        Self::Token(hash(token))
    }

    /// A session's id as it was sent.
    pub(crate) fn session(id: &Secret) -> Self {
        Self::Session(hash(id.expose()))
    }

    /// Whose it is now. Removed operators, ended and expired sessions are nobody's, at once.
    pub(crate) async fn operator(&self, app: &App) -> bridgehead_store::Result<Option<Operator>> {
        let now_ms = app.now_ms();
        let token_hash = match self {
            Self::Token(token_hash) => Some(*token_hash),
            Self::Session(id_hash) => app.operators.sessions.token_hash(id_hash, now_ms),
        };
        let Some(token_hash) = token_hash else {
            return Ok(None);
        };
        let row = app
            .store
            .read(move |s| s.operator_by_token(&token_hash))
            .await?;
        if let Some(row) = &row {
            app.operators.note_use(&row.name, now_ms);
        }
        Ok(row.map(Operator::from))
    }
}

/// A browser that has logged in.
pub(crate) struct LoggedIn {
    /// Who.
    pub(crate) operator: Operator,
    /// The session's id, for the cookie.
    pub(crate) session_id: Secret,
}

impl super::Operators {
    /// Begins a session for a token. Every wrong token is answered alike.
    pub(crate) async fn log_in(
        app: &App,
        token: &Secret,
        address: ClientAddress,
    ) -> Result<LoggedIn, ApiError> {
        let now_ms = app.now_ms();
        app.operators.gate.enter(address, now_ms)?;
        let token_hash = hash(token.expose());
        let operator = Credential::Token(token_hash)
            .operator(app)
            .await?
            .ok_or_else(|| {
                ApiError::forbidden(
                    "This is no operator's token; the first one is in the file operator.token \
                     in the server's data folder",
                )
            })?;
        app.operators.gate.give_back(address);
        let session_id = app
            .operators
            .sessions
            .begin(&app.random, token_hash, now_ms);
        Ok(LoggedIn {
            operator,
            session_id,
        })
    }

    /// Ends a session.
    pub(crate) fn log_out(&self, credential: &Credential) {
        if let Credential::Session(id_hash) = credential {
            self.sessions.end(id_hash);
            self.access_ended();
        }
    }
}
