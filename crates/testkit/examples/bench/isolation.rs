//! What a healthy service feels of its neighbour: time from send to arrival, alone and beside a neighbour that is
//! dead, hangs, drips or is flooded.
//!
//! One sender sends at a steady pace into a room that both services are interested in, so the neighbour's queue
//! grows with each message. The scenarios take turns, several rounds of them, each with a server of its own.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bridgehead_testkit::{ServerProcess, free_port};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    Arguments,
    measured::{Arrivals, Identity, MeasuredService, PATIENCE, Sender, percentile, room_of_ghosts},
};

/// Messages of the measured sender in a second.
const PACE: u32 = 50;
/// Messages in a second into the flooded neighbour's own room.
const FLOOD: u32 = 200;
const DRIP_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbour {
    None,
    Refuses,
    Hangs,
    Drips,
    Flooded,
}

const ALL: [Neighbour; 5] = [
    Neighbour::None,
    Neighbour::Refuses,
    Neighbour::Hangs,
    Neighbour::Drips,
    Neighbour::Flooded,
];

impl Neighbour {
    fn name(self) -> &'static str {
        match self {
            Self::None => "alone",
            Self::Refuses => "beside a dead one",
            Self::Hangs => "beside a hanging one",
            Self::Drips => "beside a dripping one",
            Self::Flooded => "beside a flooded one",
        }
    }
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seconds = arguments.get("seconds", 10.0)?;
    let rounds = arguments.get("rounds", 3_usize)?;
    let mut latencies = ALL.map(|neighbour| (neighbour, Vec::new()));
    for _ in 0..rounds {
        for (neighbour, all) in &mut latencies {
            all.extend(measure(&arguments.binary, *neighbour, seconds).await?);
        }
    }
    println!(
        "{:>22} {:>8} {:>9} {:>9} {:>10} {:>10}",
        "", "events", "p50 ms", "p99 ms", "p50 ratio", "p99 ratio"
    );
    let mut alone = None;
    for (neighbour, mut all) in latencies {
        all.sort_unstable();
        let (p50, p99) = (percentile(&all, 50), percentile(&all, 99));
        let (base50, base99) = *alone.get_or_insert((p50, p99));
        println!(
            "{:>22} {:>8} {p50:>9.2} {p99:>9.2} {:>10.2} {:>10.2}",
            neighbour.name(),
            all.len(),
            p50 / base50,
            p99 / base99
        );
    }
    Ok(())
}

async fn measure(binary: &Path, neighbour: Neighbour, seconds: f64) -> anyhow::Result<Vec<u64>> {
    let count = (seconds * f64::from(PACE)) as usize;
    let healthy = MeasuredService::start("healthy", Arrivals::new(count)).await?;
    let other = Other::start(neighbour).await?;
    let folder = tempfile::TempDir::new()?;
    let mut files = vec![healthy.identity.write_registration(folder.path(), &[])?];
    let mut ghosts = vec![(&healthy.identity, "healthy_ghost".to_owned())];
    if neighbour != Neighbour::None {
        files.push(other.identity.write_registration(folder.path(), &[])?);
        ghosts.push((&other.identity, "other_ghost".to_owned()));
    }
    let server = ServerProcess::start(binary, &files).await?;
    let room = room_of_ghosts(&server, &ghosts).await?;
    let flood = match neighbour {
        Neighbour::Flooded => Some(flood(&server, &other.identity).await?),
        _ => None,
    };
    let token = healthy.identity.as_token();
    let mut sender = Sender::connect(&server, &token, &room, "@healthy_ghost:localhost").await?;
    let begun = Instant::now();
    let mut sent_at = Vec::with_capacity(count);
    for n in 0..count {
        let due = begun + Duration::from_secs(1) * u32::try_from(n)? / PACE;
        tokio::time::sleep_until(due.into()).await;
        sent_at.push(healthy.arrivals.now_us());
        sender.send(n).await?;
    }
    healthy.arrivals.wait_for(count, PATIENCE).await?;
    if let Some(flood) = flood {
        flood.abort();
    }
    let arrived = |n| healthy.arrivals.of(n).unwrap_or(u64::MAX);
    Ok((0..count).map(|n| arrived(n) - sent_at[n]).collect())
}

/// Sends into a room of the neighbour alone until it is aborted.
async fn flood(
    server: &ServerProcess,
    other: &Identity,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let ghosts = [(other, "other_flood".to_owned())];
    let room = room_of_ghosts(server, &ghosts).await?;
    let user_id = "@other_flood:localhost";
    let mut sender = Sender::connect(server, &other.as_token(), &room, user_id).await?;
    Ok(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / FLOOD);
        for n in 0.. {
            ticks.tick().await;
            sender.send(n).await?;
        }
        Ok(())
    }))
}

/// The neighbour.
struct Other {
    identity: Identity,
    task: Option<JoinHandle<()>>,
    _answers: Option<MeasuredService>,
}

impl Other {
    async fn start(neighbour: Neighbour) -> anyhow::Result<Self> {
        let id = "other".to_owned();
        match neighbour {
            Neighbour::None | Neighbour::Refuses => Ok(Self {
                identity: Identity {
                    id,
                    port: free_port()?,
                },
                task: None,
                _answers: None,
            }),
            Neighbour::Flooded => {
                let service = MeasuredService::start(&id, Arrivals::new(0)).await?;
                Ok(Self {
                    identity: service.identity.clone(),
                    task: None,
                    _answers: Some(service),
                })
            }
            Neighbour::Hangs | Neighbour::Drips => {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let port = listener.local_addr()?.port();
                let drips = neighbour == Neighbour::Drips;
                Ok(Self {
                    identity: Identity { id, port },
                    task: Some(tokio::spawn(misbehave(listener, drips))),
                    _answers: None,
                })
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Accepts connections, and answers nothing, or one byte now and then.
async fn misbehave(listener: TcpListener, drips: bool) {
    let held: Arc<std::sync::Mutex<Vec<TcpStream>>> = Arc::default();
    while let Ok((stream, _)) = listener.accept().await {
        if drips {
            tokio::spawn(drip(stream));
        } else {
            held.lock()
                .expect("nothing panics with this lock")
                .push(stream);
        }
    }
}

async fn drip(mut stream: TcpStream) {
    let answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 65536\r\n\r\n{";
    for byte in answer.iter().chain(std::iter::repeat(&b' ')) {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(DRIP_EVERY).await;
    }
}
