//! The executable as an operator meets it: what it prints, its exit codes, and what it leaves behind.

use crate::BRIDGEHEAD;
use crate::desk::{Desk, Run, SOON, wait_for};
use anyhow::Context as _;
use bridgehead_testkit::{Client, ServerProcess};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn the_demo_shows_its_steps_and_ends_when_told_once() {
    let desk = Desk::new();
    let demo = desk
        .run(&["demo", "--once", "--listen", "127.0.0.1:0"])
        .await;
    let printed = demo.stdout();
    assert_eq!(demo.code(), Some(0), "{printed}{}", demo.stderr());
    for line in [
        "\n1. A logger application service starts",
        "\n2. The homeserver starts",
        "\n3. A user is made and logs in",
        "\n4. She makes the room #logged_test:localhost",
        "m.room.message from @alice:localhost: Hello, logger.",
        "\n5. She joins #logged_lazily:localhost",
        "[logger] asked for #logged_lazily:localhost: making the room",
        "m.room.message from @alice:localhost: This room was not there a moment ago.",
    ] {
        assert!(printed.contains(line), "{line:?} in:\n{printed}");
    }
    assert_eq!(fs::read_dir(desk.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_demo_stays_up_until_ctrl_c_and_leaves_nothing_behind() {
    let desk = Desk::new();
    let mut demo = desk.spawn(&["demo", "--listen", "127.0.0.1:0"]);
    let base_url = wait_for(&demo, "   homeserver  ").await.unwrap();
    wait_for(&demo, "Ctrl-C ends it.").await.unwrap();
    let alice = Client::new(&base_url).login("alice", "wonderland").await;
    alice.unwrap().join("#logged_mine:localhost").await.unwrap();

    let status = demo.interrupt().await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_dir(desk.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_demo_ends_at_ctrl_c_in_the_middle_of_it_all() {
    let desk = Desk::new();
    let mut demo = desk.spawn(&["demo", "--listen", "127.0.0.1:0"]);
    wait_for(&demo, "1. A logger").await.unwrap();
    let status = demo.interrupt().await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_dir(desk.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_demo_takes_another_port_when_its_own_is_taken() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let demo = desk.run(&["demo", "--once", "--listen", &address]).await;
    assert_eq!(demo.code(), Some(0), "{}", demo.stderr());
    let line = format!(
        "   {address} cannot be used (Address already in use (os error 98)); taking a free port"
    );
    assert!(
        demo.stdout().contains(&line),
        "{line} in:\n{}",
        demo.stdout()
    );
}

#[tokio::test]
async fn serve_says_where_everything_is_and_keeps_it_private() {
    let desk = Desk::new();
    let (mut server, client) = desk.serve(&[]).await;
    let data_dir = wait_for(&server, "database, media and signing key are in ")
        .await
        .unwrap();
    wait_for(&server, "no application services").await.unwrap();
    let (status, _) = client.get("/_matrix/client/versions").await.unwrap();
    assert_eq!(status, 200);

    let expected = fs::canonicalize(desk.path().join("bridgehead-data")).unwrap();
    assert_eq!(fs::canonicalize(data_dir).unwrap(), expected);
    assert_eq!(desk.mode("bridgehead-data"), 0o700);
    for name in ["bridgehead.db", "bridgehead.db-wal", "signing.key"] {
        let name = format!("bridgehead-data/{name}");
        assert_eq!(desk.mode(&name), 0o600, "{name}");
    }
    assert_eq!(server.interrupt().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_log_in_json_is_json_in_every_line_and_without_colours() {
    let desk = Desk::new();
    desk.write("config.toml", "[log]\nformat = \"json\"\n");
    let config = ["serve", "--config", "config.toml"];
    let mut server = desk.spawn(&[&config[..], &["--listen", "127.0.0.1:0"]].concat());
    wait_for(&server, "serving localhost at ").await.unwrap();
    server.terminate().await.unwrap();
    let output = server.output();
    // The testkit's own line about the signal is among them.
    for line in output.iter().filter(|line| !line.starts_with("--- ")) {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let desk = Desk::new();
    let (_server, _) = desk.serve(&[]).await;
    let second = desk.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(second.code(), Some(1));
    assert_eq!(
        second.stderr(),
        "bridgehead: ./bridgehead-data is in use by another server; stop that one, or give each its own data_dir\n"
    );
}

#[tokio::test]
async fn an_address_in_use_is_told_once_with_what_to_do() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = desk.run(&["serve", "--listen", &address]).await;
    assert_eq!(refused.code(), Some(1));
    let expected = format!(
        "bridgehead: cannot listen on {address}: Address already in use (os error 98); \
         another program listens there: end it, or choose another address with --listen\n"
    );
    assert_eq!(refused.stderr(), expected);
}

#[tokio::test]
async fn a_database_that_is_none_or_another_servers_is_named() {
    let desk = Desk::new();
    let made = desk
        .run_with(&["user", "create", "alice"], "a password\n")
        .await;
    assert_eq!(made.code(), Some(0), "{}", made.stderr());
    let other = desk
        .run(&[
            "serve",
            "--server-name",
            "other.example",
            "--listen",
            "127.0.0.1:0",
        ])
        .await;
    assert_eq!(
        other.stderr(),
        "bridgehead: cannot use the database ./bridgehead-data/bridgehead.db: it belongs to the server `localhost`, \
         but the configured server_name is `other.example`; set server_name to `localhost`, or name another data_dir\n"
    );
    desk.write("bridgehead-data/bridgehead.db", &"no database ".repeat(500));
    let damaged = desk.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!((other.code(), damaged.code()), (Some(1), Some(1)));
    let told = damaged.stderr();
    let expected = "bridgehead: cannot use the database ./bridgehead-data/bridgehead.db: ";
    assert!(told.starts_with(expected), "{told}");
    assert!(told.contains("file is not a database"), "{told}");
}

#[tokio::test]
async fn a_user_made_offline_logs_in() {
    let desk = Desk::new();
    let create = ["user", "create", "alice", "--admin"];
    let made = desk.run_with(&create, "a password of alice\n").await;
    assert_eq!(made.code(), Some(0), "{}", made.stderr());
    assert!(
        made.stdout().starts_with("Made @alice:localhost in /"),
        "{}",
        made.stdout()
    );
    assert_eq!(made.stderr(), "", "nobody sits at a terminal");

    let (_server, client) = desk.serve(&[]).await;
    let alice = client.login("alice", "a password of alice").await.unwrap();
    assert_eq!(alice.user_id(), "@alice:localhost");
    let wrong = client.login("alice", "a password of alice\n").await;
    assert!(wrong.is_err(), "the line's end is not part of the password");
}

#[tokio::test]
async fn a_user_is_not_made_beside_a_running_server() {
    let desk = Desk::new();
    let (_server, client) = desk.serve(&[]).await;
    let refused = desk
        .run_with(&["user", "create", "alice"], "a password\n")
        .await;
    assert_eq!(refused.code(), Some(1));
    let told = refused.stderr();
    assert!(told.contains("is in use by another server"), "{told}");
    assert!(client.login("alice", "a password").await.is_err());
}

#[tokio::test]
async fn a_new_registration_round_trips_and_is_never_overwritten() {
    let desk = Desk::new();
    let new = [
        "registration",
        "new",
        "--id",
        "irc",
        "--url",
        "http://localhost:9000",
        "--sender-localpart",
        "ircbot",
        "--user-regex",
        r"@irc_.*:localhost",
        "--alias-regex",
        r"#irc_.*:localhost",
        "--room-regex",
        "!watched.*",
        "--protocol",
        "irc",
        "--rate-limited",
        "--receive-ephemeral",
        "--output",
        "irc.yaml",
    ];
    let made = desk.run(&new).await;
    assert_eq!(made.code(), Some(0), "{}", made.stderr());
    assert_eq!(desk.mode("irc.yaml"), 0o600);
    let check = desk.run(&["registration", "check", "irc.yaml"]).await;
    assert_eq!(check.stdout(), "irc.yaml: irc\nno mistakes\n");
    let text = fs::read_to_string(desk.path().join("irc.yaml")).unwrap();

    let again = desk.run(&new).await;
    assert_eq!(again.code(), Some(1));
    assert_eq!(
        again.stderr(),
        "bridgehead: irc.yaml is there already and its tokens may be in use; remove it, or name another file\n"
    );
    assert_eq!(
        fs::read_to_string(desk.path().join("irc.yaml")).unwrap(),
        text
    );

    let (server, client) = desk.serve(&["--registration", "irc.yaml"]).await;
    wait_for(&server, "application services: irc")
        .await
        .unwrap();
    let as_token = text
        .lines()
        .find_map(|line| line.strip_prefix("as_token: '")?.strip_suffix('\''))
        .unwrap();
    let (status, whoami) = client
        .with_token(as_token)
        .get("/_matrix/client/v3/account/whoami")
        .await
        .unwrap();
    assert_eq!(
        (status.as_u16(), whoami["user_id"].as_str()),
        (200, Some("@ircbot:localhost"))
    );
}

#[tokio::test]
async fn a_registration_without_a_scheme_is_refused() {
    let desk = Desk::new();
    let new = [
        "registration",
        "new",
        "--id",
        "irc",
        "--sender-localpart",
        "ircbot",
    ];
    let refused = desk
        .run(&[&new[..], &["--url", "localhost:9000"]].concat())
        .await;
    assert_eq!((refused.code(), refused.stdout().as_str()), (Some(1), ""));
    let told = refused.stderr();
    let expected = "the url `localhost:9000` is no http or https address. Write it like http://";
    assert!(told.contains(expected), "{told}");
}

#[tokio::test]
async fn mistakes_in_registrations_are_told_by_file_and_line() {
    let desk = Desk::new();
    desk.write(
        "bad.yaml",
        "id: bad\nurl: null\nas_token: a\nhs_token: b\nnamespaces:\n  users:\n  - regex: '@(irc'\n    exclusive: true\n",
    );
    let check = desk.run(&["registration", "check", "bad.yaml"]).await;
    assert_eq!(check.code(), Some(1));
    assert_eq!(
        check.stdout(),
        "bad.yaml: `sender_localpart` is missing. Write only the part between `@` and `:`, such as `ircbot` for \
         @ircbot:example.org.\n\
         bad.yaml:7: the pattern `@(irc` is not a valid regular expression: unclosed group. Mend the pattern; in \
         YAML, put it in single quotes.\n\
         2 mistakes\n"
    );
}

#[tokio::test]
async fn a_configuration_is_checked_by_key_and_line_with_a_remedy() {
    let desk = Desk::new();
    desk.write(
        "bad.toml",
        "data_dri = \"x\"\n[log]\nformat = \"xml\"\n[tls]\ncertificate = \"nowhere.pem\"\n",
    );
    let check = desk.run(&["config", "check", "bad.toml"]).await;
    assert_eq!(check.code(), Some(1));
    assert_eq!(
        check.stdout(),
        "bad.toml:1:1: data_dri: unknown key; did you mean data_dir?\n\
         bad.toml:3:10: log.format: expected \"text\" or \"json\", found \"xml\"; write e.g. \"json\"\n\
         bad.toml:5:15: tls.certificate: cannot use \"nowhere.pem\": no such file or folder; correct the path, or \
         create the file and let the server read it\n\
         bad.toml:5:15: tls.certificate: given without tls.key; give tls.key too, or neither\n\
         4 mistakes\n"
    );
}

#[tokio::test]
async fn the_example_configuration_is_one() {
    let desk = Desk::new();
    let example = desk.run(&["config", "example"]).await;
    assert_eq!(example.code(), Some(0));
    desk.write("example.toml", &example.stdout());
    let check = desk.run(&["config", "check", "example.toml"]).await;
    assert_eq!(
        (check.code(), check.stdout().as_str()),
        (Some(0), "no mistakes\n")
    );
    let (_server, client) = desk.serve(&["--config", "example.toml"]).await;
    let (status, _) = client.get("/_matrix/client/versions").await.unwrap();
    assert_eq!(status, 200);
}

#[tokio::test]
async fn output_that_cannot_be_written_is_an_error_and_not_a_crash() {
    let desk = Desk::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = desk.command(&["config", "example"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let run = Run(child.wait_with_output().await.unwrap());
    assert_eq!(run.code(), Some(1));
    assert_eq!(
        run.stderr(),
        "bridgehead: cannot write to standard output: No space left on device (os error 28)\n"
    );
}

#[tokio::test]
async fn sigterm_answers_what_is_in_flight_and_a_restart_works() {
    let mut server = ServerProcess::start(BRIDGEHEAD, &[]).await.unwrap();
    let client = server.client();
    let alice = client
        .register("alice", "a password of alice")
        .await
        .unwrap();
    let room_id = alice.create_room(&json!({})).await.unwrap();
    let since = alice.sync(None, Duration::ZERO).await.unwrap()["next_batch"].clone();
    let poll = tokio::spawn(long_poll(alice.clone(), since.as_str().unwrap().to_owned()));
    is_waiting(&alice).await.unwrap();
    let upload = Upload::start(&server, &alice).await.unwrap();

    let (status, uploaded) = tokio::join!(server.terminate(), upload.finish_after_the_signal());
    assert_eq!(status.unwrap().code(), Some(0));
    assert!(uploaded.unwrap().contains("mxc://localhost/"));
    let (status, synced) = poll.await.unwrap().unwrap();
    assert_eq!(status, StatusCode::OK, "{synced}");

    server.restart().await.unwrap();
    let sent = alice.send_text(&room_id, "1", "after the restart").await;
    sent.unwrap();
    let synced = alice.sync(since.as_str(), Duration::ZERO).await.unwrap();
    assert!(synced.to_string().contains("after the restart"), "{synced}");
}

/// Waits for something to happen, and says meanwhile that alice is away.
async fn long_poll(alice: Client, since: String) -> reqwest::Result<(StatusCode, Value)> {
    let query = [
        ("since", since.as_str()),
        ("timeout", "50000"),
        ("set_presence", "unavailable"),
    ];
    let path = "/_matrix/client/v3/sync";
    alice.request(Method::GET, path, &query, None).await
}

/// Returns once the long poll has reached the server.
async fn is_waiting(alice: &Client) -> anyhow::Result<()> {
    let path = "/_matrix/client/v3/presence/@alice:localhost/status";
    let waiting = async {
        while alice.get(path).await?.1["presence"] != "unavailable" {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SOON, waiting)
        .await
        .context("the long poll never arrived")?
}

/// A file on its way to the server, of which only the announcement was sent.
struct Upload {
    port: u16,
    stream: TcpStream,
}

impl Upload {
    /// Returns once the server has asked for the file, so that the request is in flight.
    async fn start(server: &ServerProcess, user: &Client) -> anyhow::Result<Self> {
        let port = server.port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let token = user.access_token().context("logged in")?;
        let head = format!(
            "POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: text/plain\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut asked = [0; 25];
        tokio::time::timeout(SOON, stream.read_exact(&mut asked)).await??;
        anyhow::ensure!(asked.starts_with(b"HTTP/1.1 100 "), "{asked:?}");
        Ok(Self { port, stream })
    }

    /// Sends the file once the server takes no more connections; gives back the answer.
    async fn finish_after_the_signal(mut self) -> anyhow::Result<String> {
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
        self.stream.write_all(b"file").await?;
        let mut answer = String::new();
        tokio::time::timeout(SOON, self.stream.read_to_string(&mut answer)).await??;
        Ok(answer)
    }
}
