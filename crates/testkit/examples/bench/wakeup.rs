//! How soon a service is served that comes back: after its first request, and after its port answers again without
//! any request.
//!
//! The backoff is set to minutes, as after a long outage, so that only the sign of life or the open port can end it.

use std::time::{Duration, Instant};

use bridgehead_testkit::{ServerOptions, ServerProcess, free_port};

use crate::{
    Arguments,
    measured::{Arrivals, Identity, MeasuredService, PATIENCE, Sender, percentile, room_of_ghosts},
};

/// How long a service is away at least before it comes back: the server has failed to reach it by then.
const AWAY: Duration = Duration::from_millis(1500);
/// Each outage is longer than the one before by this, modulo a second: so that no figure depends on how the outages'
/// ends fall among the server's looks at the port.
const LONGER_EACH_TIME: Duration = Duration::from_millis(137);

#[derive(Clone, Copy)]
enum Return {
    /// It listens again and makes a request.
    Request,
    /// It listens again and waits.
    Port,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let rounds = arguments.get("rounds", 20_usize)?;
    let identity = Identity {
        id: "returning".to_owned(),
        port: free_port()?,
    };
    let folder = tempfile::TempDir::new()?;
    let file = identity.write_registration(folder.path(), &[])?;
    let options = ServerOptions::with_settings(&[
        ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "600000"),
        ("BRIDGEHEAD_APPSERVICES_BACKOFF_MAX_MS", "600000"),
    ]);
    let server = ServerProcess::start_with(&arguments.binary, &[file], options).await?;
    let arrivals = Arrivals::new(2 * rounds + 1);
    let service = MeasuredService::start_as(identity.clone(), arrivals.clone()).await?;
    let ghosts = [(&identity, "returning_ghost".to_owned())];
    let room = room_of_ghosts(&server, &ghosts).await?;
    let user_id = "@returning_ghost:localhost";
    let mut sender = Sender::connect(&server, &identity.as_token(), &room, user_id).await?;
    sender.send(0).await?;
    arrivals.wait_for(1, PATIENCE).await?;
    service.stop().await?;

    println!(
        "{:>34} {:>7} {:>9} {:>9}",
        "first delivery after", "rounds", "p50 ms", "max ms"
    );
    let mut next = 1;
    for (name, how) in [
        ("the service's first request", Return::Request),
        ("the port's opening, no request", Return::Port),
    ] {
        let mut times = Vec::new();
        for _ in 0..rounds {
            times.push(come_back(&server, &identity, &mut sender, &arrivals, next, how).await?);
            next += 1;
        }
        times.sort_unstable();
        println!(
            "{name:>34} {rounds:>7} {:>9.1} {:>9.1}",
            percentile(&times, 50),
            percentile(&times, 100)
        );
    }
    Ok(())
}

/// One outage, with a message in it; microseconds from the return to that message's arrival.
async fn come_back(
    server: &ServerProcess,
    identity: &Identity,
    sender: &mut Sender,
    arrivals: &std::sync::Arc<Arrivals>,
    number: usize,
    how: Return,
) -> anyhow::Result<u64> {
    sender.send(number).await?;
    let more = LONGER_EACH_TIME.as_millis() * number as u128 % 1000;
    tokio::time::sleep(AWAY + Duration::from_millis(u64::try_from(more)?)).await;
    let client = identity.client(server);
    let begun = Instant::now();
    let service = MeasuredService::start_as(identity.clone(), arrivals.clone()).await?;
    if matches!(how, Return::Request) {
        client.get("/_matrix/client/v3/account/whoami").await?;
    }
    arrivals.wait_for(number + 1, PATIENCE).await?;
    let took = begun.elapsed();
    service.stop().await?;
    Ok(u64::try_from(took.as_micros())?)
}
