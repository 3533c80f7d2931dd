//! A service behind a line that misbehaves: it stalls in the middle of a request or of an answer, passes one byte at
//! a time, or breaks. The service gets everything once and in order, and its neighbour notices nothing.

use crate::BRIDGEHEAD;
use crate::lane::{self, Lane, SOON, Sending, wait_for_more};
use bridgehead_testkit::{
    AppserviceOptions, Record, RecordingAppservice, ServerOptions, ServerProcess,
};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Messages that the neighbour has to receive during each fault.
const MEANWHILE: usize = 60;
/// Bytes that pass before a fault begins: within the head of a request, and of an answer.
const PASSED: usize = 40;
const DRIP_EVERY: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_costs_the_neighbour_nothing_and_loses_nothing() {
    let setup = Setup::start().await.unwrap();
    let room_id = setup.make_room().await.unwrap();
    let lanes = vec![Lane::start(
        setup.alice.clone(),
        &room_id,
        Sending::default(),
    )];
    wait_for_more(&lanes, 10).await.unwrap();
    for line in [
        LineState::StallRequest,
        LineState::StallAnswer,
        LineState::Drip,
        LineState::Break,
    ] {
        setup.line.set(line);
        let (here, there) = (events_at(&setup.steady), events_at(&setup.behind));
        let goal = here + MEANWHILE;
        let arrived = setup
            .steady
            .wait_for("news of the neighbour", SOON, |records| {
                events_of(records) >= goal
            });
        arrived.await.unwrap();
        // At most what was on its way when the fault began, and (of a broken or slow line) a little more.
        let passed = events_at(&setup.behind) - there;
        if line.lets_nothing_through() {
            assert!(passed <= 2 * 100, "{line:?} let {passed} events through");
        }
        setup.line.set(LineState::Good);
        let goal = there + MEANWHILE;
        setup
            .behind
            .wait_for("the line's recovery", SOON, |records| {
                distinct_events(records) >= goal
            })
            .await
            .unwrap_or_else(|error| panic!("after {line:?}: {error}"));
    }
    let accepted = lane::finish(lanes).await.unwrap();
    for service in [&setup.steady, &setup.behind] {
        lane::wait_for_all(service, &accepted).await.unwrap();
    }
    let verdict = lane::check(&setup.steady, &accepted).unwrap();
    assert_eq!(verdict.repeats, 0, "the neighbour was troubled");
    lane::check(&setup.behind, &accepted).unwrap();
}

struct Setup {
    server: ServerProcess,
    steady: RecordingAppservice,
    behind: RecordingAppservice,
    line: Line,
    alice: bridgehead_testkit::Client,
    _folder: TempDir,
}

impl Setup {
    async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-stall-")?;
        let options = AppserviceOptions::with_users("steady", "steady_");
        let steady = RecordingAppservice::start(options).await?;
        let options = AppserviceOptions::with_users("behind", "behind_");
        let behind = RecordingAppservice::start(options).await?;
        let line = Line::start(behind.url()["http://".len()..].parse()?).await?;
        let through_the_line = behind.registration().replace(&behind.url(), &line.url());
        let file = folder.path().join("behind.yaml");
        std::fs::write(&file, through_the_line)?;
        let files = [steady.write_registration(folder.path())?, file];
        let settings = [
            ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "50"),
            ("BRIDGEHEAD_APPSERVICES_BACKOFF_MAX_MS", "500"),
        ];
        let options = ServerOptions::with_settings(&settings);
        let server = ServerProcess::start_with(BRIDGEHEAD, &files, options).await?;
        let alice = server
            .client()
            .register("alice", "a password of alice")
            .await?;
        Ok(Self {
            server,
            steady,
            behind,
            line,
            alice,
            _folder: folder,
        })
    }

    async fn make_room(&self) -> anyhow::Result<String> {
        let room_id = self
            .alice
            .create_room(&json!({ "preset": "public_chat" }))
            .await?;
        for (service, name) in [
            (&self.steady, "steady_ghost"),
            (&self.behind, "behind_ghost"),
        ] {
            let bot = self.server.client().with_token(&service.as_token());
            bot.register_ghost(name).await?.join(&room_id).await?;
        }
        Ok(room_id)
    }
}

fn events_of(records: &[Record]) -> usize {
    records.iter().map(|record| record.events().len()).sum()
}

fn events_at(service: &RecordingAppservice) -> usize {
    distinct_events(&service.records())
}

/// Events without those of repeated requests.
fn distinct_events(records: &[Record]) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    let firsts = records.iter().filter(|r| seen.insert(&r.txn_id));
    firsts.map(|record| record.events().len()).sum()
}

/// How the line behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineState {
    Good,
    /// A request's first bytes pass, and no more.
    StallRequest,
    /// An answer's first bytes pass, and no more.
    StallAnswer,
    /// One byte at a time.
    Drip,
    /// Each connection breaks when the answer comes.
    Break,
}

impl LineState {
    fn lets_nothing_through(self) -> bool {
        matches!(self, Self::StallRequest | Self::StallAnswer)
    }
}

/// A line between the server and a service, in both directions.
struct Line {
    state: watch::Sender<LineState>,
    port: u16,
    task: JoinHandle<()>,
}

impl Line {
    async fn start(service: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (state, seen) = watch::channel(LineState::Good);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, service, seen.clone()));
            }
        });
        Ok(Self { state, port, task })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn set(&self, state: LineState) {
        self.state.send_replace(state);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(mut near: TcpStream, service: SocketAddr, state: watch::Receiver<LineState>) {
    let Ok(mut far) = TcpStream::connect(service).await else {
        return;
    };
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    // Either direction's end ends both.
    tokio::select! {
        () = pass(near_read, far_write, LineState::StallRequest, state.clone()) => {}
        () = pass(far_read, near_write, LineState::StallAnswer, state) => {}
    }
}

/// Passes bytes on, in one direction, until one side or the line ends it.
async fn pass(
    mut from: tokio::net::tcp::ReadHalf<'_>,
    mut to: tokio::net::tcp::WriteHalf<'_>,
    stall: LineState,
    mut state: watch::Receiver<LineState>,
) {
    let mut chunk = vec![0; 16 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut chunk).await else {
            return;
        };
        let mut rest = &chunk[..length];
        let now = *state.borrow_and_update();
        if now == LineState::Break && stall == LineState::StallAnswer {
            return;
        }
        if now == stall {
            let (head, tail) = rest.split_at(rest.len().min(PASSED));
            if to.write_all(head).await.is_err() {
                return;
            }
            rest = tail;
            if state.wait_for(|state| *state != stall).await.is_err() {
                return;
            }
        }
        while *state.borrow() == LineState::Drip && !rest.is_empty() {
            if to.write_all(&rest[..1]).await.is_err() {
                return;
            }
            rest = &rest[1..];
            tokio::time::sleep(DRIP_EVERY).await;
        }
        if to.write_all(rest).await.is_err() {
            return;
        }
    }
}
