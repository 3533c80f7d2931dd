//! The Matrix guide's logging service, run as printed.
//!
//! It knows nothing newer than 2015: it listens on `/transactions/…` and `/rooms/…`, reads `user_id` from events,
//! and calls `/_matrix/client/api/v1/createRoom?access_token=…` from within the question whether an alias exists.

use crate::{BRIDGEHEAD, fixture, python};
use anyhow::{Context as _, ensure};
use bridgehead_testkit::{Process, ServerProcess, free_port};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_guides_service_logs_rooms_and_makes_them_when_asked() {
    let guide = Guide::load().unwrap();
    let registration = guide.registration().unwrap();
    let peers = Peers::start(&guide, &registration).await.unwrap();
    logs_rooms_and_makes_them_when_asked(&peers).await.unwrap();
}

#[tokio::test]
async fn the_blogs_registration_without_an_id_does_as_well() {
    let guide = Guide::load().unwrap();
    let registration = std::fs::read_to_string(fixture("tutorial/blog-registration.yaml")).unwrap();
    assert!(
        !registration.lines().any(|line| line.starts_with("id:")),
        "the blog's sample has no id"
    );
    let peers = Peers::start(&guide, &registration).await.unwrap();
    logs_rooms_and_makes_them_when_asked(&peers).await.unwrap();
}

async fn logs_rooms_and_makes_them_when_asked(peers: &Peers) -> anyhow::Result<()> {
    let alice = peers
        .server
        .client()
        .register("alice", "a password of alice")
        .await?;

    let logged = alice
        .create_room(&json!({ "room_alias_name": "logged_test" }))
        .await?;
    alice
        .send_text(&logged, "1", "into the room made by hand")
        .await?;
    peers
        .wait_for_log("@alice:localhost", &logged, "into the room made by hand")
        .await?;

    let other = alice
        .create_room(&json!({ "room_alias_name": "private_test" }))
        .await?;
    alice
        .send_text(&other, "2", "into a room of no interest")
        .await?;

    let made = alice.join("#logged_test2:localhost").await?;
    ensure!(
        made != logged,
        "the second alias leads to a room of its own"
    );
    alice
        .send_text(&made, "3", "into the room made when asked")
        .await?;
    peers
        .wait_for_log("@alice:localhost", &made, "into the room made when asked")
        .await?;

    let log = peers.service.output().join("\n");
    ensure!(
        !log.contains("into a room of no interest"),
        "a room outside the namespace was logged"
    );
    ensure!(
        !log.contains("Traceback"),
        "the service failed on something it was sent"
    );
    Ok(())
}

/// The server and the guide's service, each on a port of its own.
struct Peers {
    server: ServerProcess,
    service: Process,
    _folder: TempDir,
}

impl Peers {
    async fn start(guide: &Guide, registration: &str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-tutorial-")?;
        let service_port = free_port()?;
        let registration =
            registration.replace("localhost:5000", &format!("localhost:{service_port}"));
        let registration_path = folder.path().join("registration.yaml");
        std::fs::write(&registration_path, &registration)?;
        let server = ServerProcess::start(BRIDGEHEAD, &[registration_path]).await?;

        let as_token = registration
            .lines()
            .find_map(|line| line.strip_prefix("as_token: "))
            .context("the registration has an as_token")?;
        let program = guide.program(as_token, service_port, server.port())?;
        let path = folder.path().join("app_service.py");
        std::fs::write(&path, program)?;
        let mut command = Command::new(python()?);
        command.arg("app_service.py").current_dir(folder.path());
        let service = Process::spawn("app_service.py", command)?;
        service
            .wait_for_output("its address", SOON, |lines| {
                lines.iter().any(|line| line.contains("Running on"))
            })
            .await?;
        Ok(Self {
            server,
            service,
            _folder: folder,
        })
    }

    /// Waits until the service has printed a message, in its three lines.
    async fn wait_for_log(&self, user_id: &str, room_id: &str, body: &str) -> anyhow::Result<()> {
        let first = format!("User: {user_id} Room: {room_id}");
        let body = format!("'body': '{body}'");
        let is_logged = |lines: &[String]| {
            // Flask's own lines about requests come between.
            let starts = ["User: ", "Event Type: ", "Content: "];
            let own = lines
                .iter()
                .filter(|line| starts.iter().any(|start| line.starts_with(start)));
            own.collect::<Vec<_>>().windows(3).any(|three| {
                *three[0] == first
                    && three[1] == "Event Type: m.room.message"
                    && three[2].contains(&body)
            })
        };
        self.service
            .wait_for_output(&format!("{first}, with {body}"), SOON, is_logged)
            .await
    }
}

/// The guide's text, from which the program and the registration are taken.
struct Guide(String);

impl Guide {
    fn load() -> anyhow::Result<Self> {
        Ok(Self(std::fs::read_to_string(fixture("tutorial/guide.md"))?))
    }

    /// The contents of the code blocks in this language.
    fn code_blocks(&self, language: &str) -> Vec<&str> {
        let opening = format!("```{language}\n");
        self.0
            .split(opening.as_str())
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect()
    }

    fn registration(&self) -> anyhow::Result<String> {
        let blocks = self.code_blocks("yaml");
        let registration = blocks
            .into_iter()
            .find(|block| block.starts_with("# registration.yaml"));
        registration
            .map(str::to_owned)
            .context("the guide shows a registration.yaml")
    }

    /// The guide's program: the first block, with the route of the second before its last two lines.
    ///
    /// Changed are only what the guide says is to be filled in (the token), the two ports, and `print`, which was
    /// a statement in the Python of that time and now is a function.
    fn program(
        &self,
        as_token: &str,
        service_port: u16,
        server_port: u16,
    ) -> anyhow::Result<String> {
        const MAIN: &str = "if __name__ == \"__main__\":";
        let [service, lazy_rooms] = self.code_blocks("python")[..] else {
            anyhow::bail!("the guide has two blocks of Python");
        };
        let (head, main) = service
            .split_once(MAIN)
            .context("the guide's program has a main part")?;
        let printed = format!("{head}{lazy_rooms}\n{MAIN}{main}");
        let program = printed
            .lines()
            .map(print_as_a_function)
            .collect::<Vec<_>>()
            .join("\n");
        let program = program
            .replace("access_token=TOKEN", &format!("access_token={as_token}"))
            .replace("localhost:8008", &format!("localhost:{server_port}"))
            .replace("app.run()", &format!("app.run(port={service_port})"));
        Ok(program + "\n")
    }
}

fn print_as_a_function(line: &str) -> String {
    let statement = line.trim_start();
    let indent = &line[..line.len() - statement.len()];
    match statement.strip_prefix("print ") {
        Some(printed) => format!("{indent}print({printed}, flush=True)"),
        None => line.to_owned(),
    }
}

#[tokio::test]
async fn the_guides_program_is_valid_and_otherwise_unchanged() {
    let guide = Guide::load().unwrap();
    let program = guide.program("the-token", 1111, 2222).unwrap();
    assert!(program.contains(
        r#"print("User: %s Room: %s" % (event["user_id"], event["room_id"]), flush=True)"#
    ));
    assert!(program.contains(r#"@app.route("/transactions/<transaction>", methods=["PUT"])"#));
    assert!(
        program.contains(
            "http://localhost:2222/_matrix/client/api/v1/createRoom?access_token=the-token"
        )
    );
    assert!(program.ends_with("if __name__ == \"__main__\":\n    app.run(port=1111)\n"));
    assert!(compiles(&program).await.unwrap(), "{program}");
    assert!(
        !compiles("print \"as a statement\"").await.unwrap(),
        "the check notices what does not compile"
    );
}

async fn compiles(program: &str) -> anyhow::Result<bool> {
    let folder = TempDir::with_prefix("bridgehead-compile-")?;
    let path = folder.path().join("app_service.py");
    std::fs::write(&path, program)?;
    compile(&path).await
}

async fn compile(path: &Path) -> anyhow::Result<bool> {
    let output = Command::new(python()?)
        .args(["-m", "py_compile"])
        .arg(path)
        .output()
        .await?;
    Ok(output.status.success())
}
