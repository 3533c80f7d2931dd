//! A full disk: refused clearly, nothing lost, and over without a restart when there is room again.
//!
//! The data folder is a small file system of its own, which needs the right to mount one.

use crate::BRIDGEHEAD;
use crate::lane::{self, Lane, Sending, wait_for_more, wait_until};
use anyhow::{Context as _, ensure};
use bridgehead_testkit::{
    Answer, AppserviceOptions, Client, RecordingAppservice, ServerOptions, ServerProcess,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const DISK_BYTES: u64 = 32 << 20;
/// What somebody else has left on the disk, and removes later.
const FILLER_BYTES: u64 = 16 << 20;
/// Text in each message, so that there are not too many of them.
const MESSAGE_BYTES: usize = 50_000;
/// Refusals of each sender before somebody makes room.
const REFUSALS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_loses_nothing_and_passes() {
    let mut setup = Setup::start().await.unwrap();
    let room_id = setup.make_room().await.unwrap();
    let lanes = setup.start_lanes(&room_id);
    fill(&lanes).await.unwrap();
    setup.look_around_on_a_full_disk(&room_id).await.unwrap();

    std::fs::remove_file(&setup.filler).unwrap();

    wait_for_more(&lanes, 10).await.unwrap();
    setup.is_up.store(true, Ordering::SeqCst);
    let accepted = lane::finish(lanes).await.unwrap();
    for service in [&setup.steady, &setup.away] {
        lane::wait_for_all(service, &accepted).await.unwrap();
        lane::check(service, &accepted).unwrap();
    }
    setup
        .check_after_restart(&room_id, &accepted)
        .await
        .unwrap();
}

struct Setup {
    server: ServerProcess,
    steady: RecordingAppservice,
    /// It refuses everything until `is_up`.
    away: RecordingAppservice,
    is_up: Arc<AtomicBool>,
    alice: Client,
    ghost: Client,
    filler: PathBuf,
    // Last, for it can go only when nobody uses it.
    _disk: Disk,
    _folder: TempDir,
}

impl Setup {
    async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-disk-")?;
        let disk = Disk::mount(&folder.path().join("disk"), DISK_BYTES)?;
        let filler = disk.0.join("filler");
        std::fs::write(&filler, vec![1; usize::try_from(FILLER_BYTES)?])?;
        let options = AppserviceOptions::with_users("steady", "steady_");
        let steady = RecordingAppservice::start(options).await?;
        let options = AppserviceOptions::with_users("away", "away_");
        let away = RecordingAppservice::start(options).await?;
        let is_up = Arc::new(AtomicBool::new(false));
        let up = is_up.clone();
        away.answer_with(move |_| {
            Answer::Status(if up.load(Ordering::SeqCst) {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            })
        });
        let files = [
            steady.write_registration(folder.path())?,
            away.write_registration(folder.path())?,
        ];
        let options = ServerOptions {
            data_dir: Some(disk.0.join("data")),
            settings: vec![(
                "BRIDGEHEAD_APPSERVICES_BACKOFF_MAX_MS".to_owned(),
                "1000".to_owned(),
            )],
        };
        let server = ServerProcess::start_with(BRIDGEHEAD, &files, options).await?;
        let password = "a password of alice";
        let alice = server.client().register("alice", password).await?;
        let bot = server.client().with_token(&steady.as_token());
        let ghost = bot.register_ghost("steady_ghost").await?;
        Ok(Self {
            server,
            steady,
            away,
            is_up,
            alice,
            ghost,
            filler,
            _disk: disk,
            _folder: folder,
        })
    }

    /// A room with alice and a ghost of each service.
    async fn make_room(&self) -> anyhow::Result<String> {
        let public = json!({ "preset": "public_chat" });
        let room_id = self.alice.create_room(&public).await?;
        self.ghost.join(&room_id).await?;
        let other = self.server.client().with_token(&self.away.as_token());
        let listener = other.register_ghost("away_ghost").await?;
        listener.join(&room_id).await?;
        Ok(room_id)
    }

    fn start_lanes(&self, room_id: &str) -> Vec<Lane> {
        let sending = Sending {
            filler_bytes: MESSAGE_BYTES,
            may_pass: Some(check_refusal),
            ..Sending::default()
        };
        [&self.alice, &self.ghost]
            .map(|client| Lane::start(client.clone(), room_id, sending.clone()))
            .into()
    }

    /// What must go on while nothing can be written, and what must be refused.
    async fn look_around_on_a_full_disk(&self, room_id: &str) -> anyhow::Result<()> {
        let synced = self.alice.sync(None, Duration::ZERO).await?;
        ensure!(
            synced["rooms"]["join"][room_id].is_object(),
            "no room in {synced}"
        );
        let member = self.ghost.user_id();
        self.alice.state(room_id, "m.room.member", member).await?;
        let path = "/_matrix/media/v3/upload";
        let upload = json!("x".repeat(1 << 20));
        let (status, answer) = self
            .alice
            .request(Method::POST, path, &[], Some(&upload))
            .await?;
        check_refusal(status, &answer).context("an upload")?;
        Ok(())
    }

    /// All that was accepted is there when the server has started anew.
    async fn check_after_restart(
        &mut self,
        room_id: &str,
        accepted: &[Vec<String>],
    ) -> anyhow::Result<()> {
        self.server.terminate().await?;
        self.server.restart().await?;
        for event_id in accepted.iter().flatten() {
            let path = format!("/_matrix/client/v3/rooms/{room_id}/event/{event_id}");
            self.alice.expect_ok(Method::GET, &path, &[], None).await?;
        }
        Ok(())
    }
}

/// Sends until each lane has been refused several times.
async fn fill(lanes: &[Lane]) -> anyhow::Result<()> {
    let all_refused = || lanes.iter().all(|lane| lane.refusals() >= REFUSALS);
    wait_until(lanes, "refusals on a full disk", all_refused).await
}

/// A clear word to a client, and nothing of what is inside.
fn check_refusal(status: StatusCode, answer: &Value) -> anyhow::Result<()> {
    ensure!(
        status == StatusCode::INSUFFICIENT_STORAGE && answer["errcode"] == "M_UNKNOWN",
        "answered {status}: {answer}"
    );
    let text = answer["error"].as_str().unwrap_or_default();
    ensure!(!text.is_empty(), "no readable text in {answer}");
    for inside in ["sql", "database", "/", "os error", ".db"] {
        ensure!(
            !text.to_lowercase().contains(inside),
            "{inside} is inside: {answer}"
        );
    }
    Ok(())
}

/// A file system in memory, gone when this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, bytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir(at)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(at)
            .output()
            .context("this test needs the program mount")?;
        ensure!(
            mounted.status.success(),
            "this test mounts a small file system, which takes root (or CAP_SYS_ADMIN): {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server that is being killed may still hold files open.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.0.display());
        }
    }
}
