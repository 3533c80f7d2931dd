//! What patterns and interested services cost a sender: one registration beside two hundred with five patterns each
//! of which one is interested, and one interested service beside fifty.
//!
//! The set-ups take turns, several rounds of them, each with a server of its own; the medians are compared.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bridgehead_testkit::{ServerProcess, table_rows};

use crate::{
    Arguments,
    measured::{
        Arrivals, Identity, MeasuredService, PATIENCE, Sender, median, room_of_ghosts, send_for,
    },
};

const SENDERS: usize = 16;
/// Patterns of each further registration.
const PATTERNS: usize = 5;

#[derive(Clone, Copy)]
struct Scene {
    name: &'static str,
    /// Registrations beside the measured one.
    others: usize,
    /// Whether their users are in the room, too.
    interested: bool,
}

const SCENES: [Scene; 3] = [
    Scene {
        name: "1 registration",
        others: 0,
        interested: false,
    },
    Scene {
        name: "200 × 5 patterns, 1 interested",
        others: 199,
        interested: false,
    },
    Scene {
        name: "50 interested",
        others: 49,
        interested: true,
    },
];

/// What one round gave.
struct Figures {
    rate: f64,
    /// Rows that the database has more after each append, on average.
    rows: f64,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seconds = arguments.get("seconds", 5.0)?;
    let rounds = arguments.get("rounds", 3_usize)?;
    let mut figures = SCENES.map(|scene| (scene, Vec::new()));
    for _ in 0..rounds {
        for (scene, all) in &mut figures {
            all.push(measure(&arguments.binary, *scene, seconds).await?);
        }
    }
    println!(
        "{:>32} {:>12} {:>8} {:>12}",
        "", "accepted/s", "ratio", "rows/append"
    );
    let mut base = None;
    for (scene, all) in &figures {
        let rate = median(&all.iter().map(|one| one.rate).collect::<Vec<_>>());
        let rows = median(&all.iter().map(|one| one.rows).collect::<Vec<_>>());
        let base = *base.get_or_insert(rate);
        println!(
            "{:>32} {rate:>12.0} {:>8.3} {rows:>12.2}",
            scene.name,
            rate / base
        );
    }
    Ok(())
}

async fn measure(binary: &Path, scene: Scene, seconds: f64) -> anyhow::Result<Figures> {
    let service = MeasuredService::start("measured", Arrivals::new(1_000_000)).await?;
    let sink = MeasuredService::start("sink", Arrivals::new(0)).await?;
    let folder = tempfile::TempDir::new()?;
    let others: Vec<Identity> = (0..scene.others)
        .map(|number| Identity {
            id: format!("other{number}"),
            port: sink.identity.port,
        })
        .collect();
    let mut files = vec![service.identity.write_registration(folder.path(), &[])?];
    for other in &others {
        let more: Vec<_> = (1..PATTERNS)
            .map(|number| format!("@{}-[a-z0-9]+-network{number}_.*", other.id))
            .collect();
        files.push(other.write_registration(folder.path(), &more)?);
    }
    let server = ServerProcess::start(binary, &files).await?;
    let mut ghosts: Vec<_> = (0..SENDERS)
        .map(|number| (&service.identity, format!("measured_{number}")))
        .collect();
    if scene.interested {
        ghosts.extend(
            others
                .iter()
                .map(|other| (other, format!("{}_ghost", other.id))),
        );
    }
    let room = room_of_ghosts(&server, &ghosts).await?;
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        let user_id = format!("@measured_{number}:localhost");
        let token = service.identity.as_token();
        senders.push(Sender::connect(&server, &token, &room, &user_id).await?);
    }
    let database = server.data_dir().join("bridgehead.db");
    let before: u64 = table_rows(&database)?.values().sum();
    let begun = Instant::now();
    let until = begun + Duration::from_secs_f64(seconds);
    let sent = send_for(senders, &service.arrivals, until).await?;
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    service.arrivals.wait_for(sent, PATIENCE).await?;
    let after: u64 = table_rows(&database)?.values().sum();
    Ok(Figures {
        rate,
        rows: after.saturating_sub(before) as f64 / sent as f64,
    })
}
