//! Where a host that is not in this process reaches a service: HTTP at the registration's url.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{mount::Seat, seam::Seam};

/// No transaction is larger.
const MAX_BODY_BYTES: usize = 64 << 20;

/// How long the listener of a life before may take to end.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Listens for one service until the task is ended.
pub(super) async fn listen(
    address: SocketAddr,
    seam: Arc<Seam>,
    seat: Arc<Seat>,
) -> anyhow::Result<JoinHandle<()>> {
    let listener = bind(address)
        .await
        .with_context(|| format!("cannot listen at {address} for `{}`", seat.id))?;
    let router = Router::new().fallback(arrived).with_state((seam, seat));
    Ok(tokio::spawn(async move {
        // Ends when the task is ended; accepting goes on after errors.
        axum::serve(listener, router).await.ok();
    }))
}

/// The listener of the life before may have been told to end and not have ended yet.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let deadline = Instant::now() + LAST_BREATH;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                sleep(LOOK).await;
            }
            bound => return bound,
        }
    }
}

async fn arrived(State((seam, seat)): State<(Arc<Seam>, Arc<Seat>)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match seam.deliver(&seat, Request::from_parts(head, body)).await {
        Ok(answer) => answer.map(Body::from),
        // Ends the task that serves this connection, and the connection with it, without a panic's
        // message: the host sees it break.
        Err(_) => std::panic::resume_unwind(Box::new("the lab drops this request")),
    }
}
