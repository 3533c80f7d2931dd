//! What a backlog costs: memory of the server's process and size of its database while a service is dead, and how
//! long it takes until the service has everything when it is back.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bridgehead_testkit::{ServerProcess, free_port};

use crate::{
    Arguments,
    measured::{Arrivals, Identity, MeasuredService, Sender, room_of_ghosts, send_for},
};

const SENDERS: usize = 64;
/// Messages that fill the server's caches before its memory is looked at.
const WARM_UP: usize = 2_000;
/// Bytes of text added to each message.
const FILLER: usize = 200;
const AT_MOST: Duration = Duration::from_secs(3600);

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let events = arguments.get("events", 1_000_000_usize)?;
    let identity = Identity {
        id: "dead".to_owned(),
        port: free_port()?,
    };
    let folder = tempfile::TempDir::new()?;
    let file = identity.write_registration(folder.path(), &[])?;
    let mut server = ServerProcess::start(&arguments.binary, &[file]).await?;
    // The warm-up's service is the same one, alive.
    let warm = Arrivals::new(WARM_UP);
    let service = MeasuredService::start_as(identity.clone(), warm.clone()).await?;
    let ghosts: Vec<_> = (0..SENDERS)
        .map(|number| (&identity, format!("dead_{number}")))
        .collect();
    let room = room_of_ghosts(&server, &ghosts).await?;
    fill(&server, &identity, &room, &warm).await?;
    warm.wait_for(WARM_UP, AT_MOST).await?;
    service.stop().await?;
    report("before", &mut server)?;

    let arrivals = Arrivals::new(events);
    let begun = Instant::now();
    let room = second_room(&server, &identity).await?;
    fill(&server, &identity, &room, &arrivals).await?;
    let took = begun.elapsed();
    println!(
        "{events} events queued in {:.1} s: {:.0}/s",
        took.as_secs_f64(),
        events as f64 / took.as_secs_f64()
    );
    report("queued", &mut server)?;

    let begun = Instant::now();
    let _service = MeasuredService::start_as(identity, arrivals.clone()).await?;
    arrivals.wait_for(1, AT_MOST).await?;
    println!(
        "first delivery {:.3} s after the port's opening",
        begun.elapsed().as_secs_f64()
    );
    arrivals.wait_for(events, AT_MOST).await?;
    let took = begun.elapsed();
    println!(
        "drained in {:.1} s: {:.0}/s in {} transactions",
        took.as_secs_f64(),
        events as f64 / took.as_secs_f64(),
        arrivals.transactions()
    );
    report("drained", &mut server)
}

/// Client transaction ids start over with the numbers, so the events go into a room of their own.
async fn second_room(server: &ServerProcess, identity: &Identity) -> anyhow::Result<String> {
    let client = identity.client(server);
    let owner = client.acting_as("@dead_0:localhost");
    let public = serde_json::json!({ "preset": "public_chat" });
    let room = owner.create_room(&public).await?;
    for number in 1..SENDERS {
        client
            .acting_as(&format!("@dead_{number}:localhost"))
            .join(&room)
            .await?;
    }
    Ok(room)
}

/// Sends as many messages as there is room for.
async fn fill(
    server: &ServerProcess,
    identity: &Identity,
    room: &str,
    arrivals: &std::sync::Arc<Arrivals>,
) -> anyhow::Result<()> {
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        let user_id = format!("@dead_{number}:localhost");
        let sender = Sender::connect(server, &identity.as_token(), room, &user_id).await?;
        senders.push(sender.with_filler(FILLER));
    }
    let until = Instant::now() + AT_MOST;
    let sent = send_for(senders, arrivals, until).await?;
    anyhow::ensure!(
        sent == arrivals.capacity(),
        "{sent} messages were sent in time"
    );
    Ok(())
}

fn report(when: &str, server: &mut ServerProcess) -> anyhow::Result<()> {
    let memory = server.process().memory().context("the server's memory")?;
    let database = server.data_dir().join("bridgehead.db");
    println!(
        "{when:>8}: resident {:.1} MiB (highest {:.1} MiB), database {:.1} MiB, its log {:.1} MiB",
        mebibytes(memory.resident_bytes),
        mebibytes(memory.highest_bytes),
        mebibytes(size(&database)),
        mebibytes(size(&database.with_extension("db-wal")))
    );
    Ok(())
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
