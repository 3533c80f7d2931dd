//! Passwords: Argon2id, off the async threads, a bounded number at once.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::{
    app::App,
    blocking::{Blocking, Unfinished},
    http::error::ApiError,
};

/// Longest password.
const MAX_BYTES: usize = 512;

/// Hashes computed at once: each takes tens of milliseconds and 19 MiB.
static PERMITS: Semaphore = Semaphore::const_new(2);

/// Runs `work`, which takes the time and memory of a hash.
async fn run<T: Send + 'static>(
    blocking: Blocking,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    // Who works inline does one thing at a time, and waits for nobody else's threads.
    let _permit = match blocking {
        Blocking::Threads => PERMITS.acquire().await.ok(),
        Blocking::Inline => None,
    };
    blocking.run(work).await
}

/// The hash of a password, in PHC string form.
async fn hash(blocking: Blocking, password: String) -> Result<String, PasswordError> {
    run(blocking, move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|_| PasswordError)
    })
    .await
    .map_err(|_| PasswordError)?
}

/// The hash of a password that a client chose.
///
/// # Errors
/// 400 when it is empty or too long to be one.
pub(crate) async fn checked_hash(app: &App, password: String) -> Result<String, ApiError> {
    if password.is_empty() {
        return Err(ApiError::weak_password("The password is empty"));
    }
    if password.len() > MAX_BYTES {
        return Err(ApiError::invalid_param(format!(
            "The password is longer than {MAX_BYTES} bytes"
        )));
    }
    hash(app.blocking, password)
        .await
        .map_err(|error| ApiError::internal(&error))
}

/// Whether the password is the hashed one.
pub(crate) async fn verify(app: &App, password: String, hash: String) -> bool {
    run(app.blocking, move || {
        PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    })
    .await
    .unwrap_or(false)
}

/// Hashing failed: out of memory, or the server is ending.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
pub(crate) struct PasswordError;
