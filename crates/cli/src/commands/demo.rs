//! `bridgehead demo`: the main job, end to end, in front of one's eyes.
//!
//! A homeserver in a fresh folder, a small *logger* application service that talks to it over real
//! HTTP, a user, a conversation. Everything goes the way it does in production; only the folder is
//! thrown away at the end.

mod client;
mod logger;

use std::{io::Write as _, path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use bridgehead_homeserver::{
    Server,
    config::{Config, Overrides},
};
use clap::Args;

use self::{client::Client, logger::Logger};
use super::{EndRequest, wants_colours};

const SERVER_NAME: &str = "localhost";
const USER: &str = "alice";
const PASSWORD: &str = "wonderland";
/// How long the logger may take to be told of an event; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Address of the homeserver. When the port is taken, a free one is used.
    #[arg(long, default_value = "127.0.0.1:8008", value_name = "ADDR:PORT")]
    listen: String,
    /// End after the conversation instead of staying up.
    #[arg(long)]
    once: bool,
}

/// Runs the demo.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut end = EndRequest::new()?;
    tracing_subscriber::fmt()
        .with_env_filter("warn")
        .with_ansi(wants_colours())
        .with_writer(std::io::stderr)
        .init();
    let folder = tempfile::Builder::new()
        .prefix("bridgehead-demo-")
        .tempdir()?;
    tell("Bridgehead demo");
    tell("===============");

    step(
        1,
        "A logger application service starts; it owns the aliases #logged_…:localhost",
    );
    let file = folder.path().join("logger.yaml");
    let listener = Logger::bind()?;
    let generated = listener.registration()?;
    std::fs::write(&file, generated.text.expose())
        .with_context(|| format!("cannot write {}", file.display()))?;
    tell(&format!(
        "   it listens at {} and is registered by {}",
        listener.url(),
        file.display()
    ));

    step(
        2,
        "The homeserver starts in a fresh folder, on embedded SQLite",
    );
    let server = start_server(&arguments.listen, folder.path(), &file).await?;
    let address = server.addresses()[0];
    let base_url = format!("http://{address}");
    tell(&format!(
        "   {base_url}, data in {}",
        folder.path().display()
    ));
    let mut logger = listener.run(&base_url, generated.registration).await?;

    let outcome = tokio::select! {
        outcome = show(&server, &base_url, &mut logger, arguments.once) => outcome,
        () = end.asked() => {
            tell("\nEnding.");
            Ok(())
        }
    };
    logger.stop().await;
    server.stop().await;
    let path = folder.path().to_owned();
    folder
        .close()
        .with_context(|| format!("cannot remove {}", path.display()))?;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// The conversation; then stays for as long as it is let.
async fn show(
    server: &Server,
    base_url: &str,
    logger: &mut Logger,
    once: bool,
) -> anyhow::Result<()> {
    converse(server, base_url, logger).await?;
    if !once {
        tell(&how_to_take_part(base_url));
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Prints a line. When nobody reads any more, the demo goes on all the same.
fn tell(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}

fn step(number: u8, what: &str) {
    tell(&format!("\n{number}. {what}"));
}

async fn start_server(listen: &str, folder: &Path, file: &Path) -> anyhow::Result<Server> {
    let start = async |listen: &str| {
        let overrides = Overrides {
            data_dir: Some(folder.join("data")),
            server_name: Some(SERVER_NAME.to_owned()),
            listen: vec![listen.to_owned()],
            registrations: vec![file.to_owned()],
            open_registration: true,
            rate_limits: Some(false),
            registration_shared_secret: None,
        };
        let config = Config::load(None, std::iter::empty(), overrides)
            .map_err(|errors| anyhow::anyhow!("{errors}"))?
            .config;
        anyhow::Ok(Server::start(config).await)
    };
    match start(listen).await? {
        Ok(server) => Ok(server),
        Err(bridgehead_homeserver::StartError::Listen { address, reason }) => {
            tell(&format!(
                "   {address} cannot be used ({reason}); taking a free port"
            ));
            Ok(start("127.0.0.1:0").await??)
        }
        Err(error) => Err(error.into()),
    }
}

async fn converse(server: &Server, base_url: &str, logger: &mut Logger) -> anyhow::Result<()> {
    step(3, "A user is made and logs in");
    let user_id = server
        .create_user(USER, PASSWORD, false)
        .await
        .map_err(|problem| anyhow::anyhow!(problem))?;
    let alice = Client::log_in(base_url, USER, PASSWORD).await?;
    tell(&format!("   {user_id}"));

    step(
        4,
        "She makes the room #logged_test:localhost and speaks in it",
    );
    let room = alice.create_room("logged_test").await?;
    tell(&format!("   {room}"));
    for text in [
        "Hello, logger.",
        "Nothing said here is lost,",
        "and it arrives in order.",
    ] {
        let event = alice.say(&room, text).await?;
        tell(&format!("   {USER}: {text}"));
        logger.until(&event, PATIENCE).await?;
    }

    step(
        5,
        "She joins #logged_lazily:localhost, which nobody has made yet",
    );
    tell("   the homeserver asks the logger, the logger makes the room, the join goes on");
    let lazy = alice.join("#logged_lazily:localhost").await?;
    tell(&format!("   joined {lazy}"));
    let event = alice
        .say(&lazy, "This room was not there a moment ago.")
        .await?;
    logger.until(&event, PATIENCE).await?;
    tell(&format!(
        "\n   The logger was told of {} events.",
        logger.count()
    ));
    Ok(())
}

fn how_to_take_part(base_url: &str) -> String {
    format!(
        "\nThe server stays up. Log in with any Matrix client (Element: \"Edit\" the homeserver):

   homeserver  {base_url}
   user        {USER}
   password    {PASSWORD}

Or try this in another terminal, and watch the logger here:

   token=$(curl -s {base_url}/_matrix/client/v3/login -d '{{\"type\":\"m.login.password\",\"identifier\":{{\"type\":\"m.id.user\",\"user\":\"{USER}\"}},\"password\":\"{PASSWORD}\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
   curl -s -X POST -H \"Authorization: Bearer $token\" {base_url}/_matrix/client/v3/join/%23logged_mine%3Alocalhost -d '{{}}'

Ctrl-C ends it."
    )
}
