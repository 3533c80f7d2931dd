//! Ghosts of one service send into bridged rooms, and the service's own record says when each event arrived.
//!
//! Closed loop: each sender waits for its answer before it sends again.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bridgehead_testkit::{Client, ServerProcess};
use serde_json::json;

use crate::{
    Arguments,
    measured::{Arrivals, MeasuredService, PATIENCE, Sender, percentile},
};

const ROOMS: usize = 16;

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seconds = arguments.get("seconds", 5.0)?;
    println!(
        "{:>11} {:>10} {:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "concurrency",
        "events",
        "accepted/s",
        "delivered/s",
        "p50 ms",
        "p99 ms",
        "send p50",
        "send p99",
        "txns"
    );
    for concurrency in [1, 16, 64] {
        measure(&arguments.binary, concurrency, seconds).await?;
    }
    Ok(())
}

async fn measure(binary: &Path, concurrency: usize, seconds: f64) -> anyhow::Result<()> {
    let service = MeasuredService::start("bench", Arrivals::new(2_000_000)).await?;
    let folder = tempfile::TempDir::new()?;
    let file = service.identity.write_registration(folder.path(), &[])?;
    let server = ServerProcess::start(binary, &[file]).await?;
    let rooms = prepare(&service.identity.client(&server), concurrency).await?;

    let arrivals = service.arrivals.clone();
    let next = Arc::new(AtomicUsize::new(0));
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let begun = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for index in 0..concurrency {
        let user_id = format!("@bench_{index}:localhost");
        let room = &rooms[index % rooms.len()];
        let token = service.identity.as_token();
        let sender = Sender::connect(&server, &token, room, &user_id).await?;
        senders.spawn(send_until(sender, next.clone(), arrivals.clone(), deadline));
    }
    let mut sends = Vec::new();
    while let Some(result) = senders.join_next().await {
        sends.extend(result??);
    }
    let accepted_in = begun.elapsed();
    arrivals.wait_for(sends.len(), PATIENCE).await?;
    let delivered_in = begun.elapsed();

    let mut latencies = Vec::with_capacity(sends.len());
    let mut answers = Vec::with_capacity(sends.len());
    for (n, sent_at, answered_at) in &sends {
        latencies.push(arrivals.of(*n).unwrap_or(0).saturating_sub(*sent_at));
        answers.push(answered_at - sent_at);
    }
    latencies.sort_unstable();
    answers.sort_unstable();
    println!(
        "{concurrency:>11} {:>10} {:>11.0} {:>11.0} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>8}",
        sends.len(),
        sends.len() as f64 / accepted_in.as_secs_f64(),
        sends.len() as f64 / delivered_in.as_secs_f64(),
        percentile(&latencies, 50),
        percentile(&latencies, 99),
        percentile(&answers, 50),
        percentile(&answers, 99),
        arrivals.transactions(),
    );
    Ok(())
}

/// Sends until the deadline; gives back (number, sent at, answered at) in microseconds.
async fn send_until(
    mut sender: Sender,
    next: Arc<AtomicUsize>,
    arrivals: Arc<Arrivals>,
    deadline: Instant,
) -> anyhow::Result<Vec<(usize, u64, u64)>> {
    let mut sends = Vec::new();
    while Instant::now() < deadline {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= arrivals.capacity() {
            break;
        }
        let sent_at = arrivals.now_us();
        sender.send(n).await?;
        sends.push((n, sent_at, arrivals.now_us()));
    }
    Ok(sends)
}

/// Ghosts, and rooms they are all joined to.
async fn prepare(bot: &Client, ghosts: usize) -> anyhow::Result<Vec<String>> {
    let mut members = Vec::new();
    for index in 0..ghosts {
        members.push(bot.register_ghost(&format!("bench_{index}")).await?);
    }
    let mut rooms = Vec::new();
    for index in 0..ROOMS.min(ghosts) {
        let room = members[index]
            .create_room(&json!({ "preset": "public_chat" }))
            .await?;
        for member in members.iter().skip(index).step_by(ROOMS) {
            member.join(&room).await?;
        }
        rooms.push(room);
    }
    Ok(rooms)
}
