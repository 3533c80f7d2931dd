//! Atheme: services on an `InspIRCd`, with accounts, SASL (`PLAIN` and `EXTERNAL`) and registered channels.

use super::{
    inspircd::{HUB, Inspircd, LINK_PASSWORD, SERVICES},
    program,
    raw::RawClient,
    wait_for_line,
};
use bridgehead_testkit::Process;
use std::fs;
use tempfile::TempDir;
use tokio::process::Command;

/// What is loaded; the program finds it by itself, where its package put it.
const MODULES: &str = "protocol/inspircd backend/opensex crypto/pbkdf2v2 nickserv/main nickserv/cert nickserv/drop \
    nickserv/enforce nickserv/ghost nickserv/group nickserv/identify nickserv/info nickserv/logout nickserv/register \
    chanserv/main chanserv/access chanserv/flags chanserv/info chanserv/invite chanserv/op \
    chanserv/register chanserv/set_core chanserv/voice saslserv/main saslserv/external saslserv/plain";

/// Running services.
pub(crate) struct Atheme {
    _process: Process,
    _folder: TempDir,
}

impl Atheme {
    /// Starts services, and returns once the server knows them.
    pub(crate) async fn start(server: &Inspircd) -> anyhow::Result<Self> {
        let before = server.links(SERVICES);
        let folder = TempDir::with_prefix("bridgehead-atheme-")?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("atheme.conf"), config(server.links_port))?;
        let mut command = Command::new(program("BRIDGEHEAD_TEST_ATHEME", "atheme-services")?);
        command.arg("-n").arg("-c").arg(path("atheme.conf"));
        command
            .arg("-D")
            .arg(folder.path())
            .arg("-l")
            .arg(path("log"));
        command.arg("-p").arg(path("pid"));
        let process = Process::spawn("atheme", command)?;
        wait_for_line(&process, "finished synching with uplink").await?;
        server.wait_for_links(SERVICES, before + 1).await?;
        Ok(Self {
            _process: process,
            _folder: folder,
        })
    }
}

/// Registers an account of the nick's name; who did it stays logged in with it.
pub(crate) async fn register(
    server: &Inspircd,
    nick: &str,
    password: &str,
) -> anyhow::Result<RawClient> {
    let mut client = RawClient::welcomed(server.port, nick).await?;
    client
        .say(&format!(
            "PRIVMSG NickServ :REGISTER {password} {nick}@test.invalid"
        ))
        .await;
    client.hear(" 900 ").await?;
    Ok(client)
}

fn config(port: u16) -> String {
    let modules = MODULES.split_whitespace();
    let modules = modules.map(|module| format!("loadmodule \"modules/{module}\";\n"));
    let modules = modules.collect::<String>();
    // The spaces around `=` are needed.
    format!(
        r#"{modules}
serverinfo {{
    name = "{SERVICES}"; desc = "services"; numeric = "00A"; recontime = 1; netname = "TestNet";
    adminname = "n"; adminemail = "n@test.invalid"; registeremail = "n@test.invalid";
    hidehostsuffix = "users.test.invalid"; auth = none; mta = "/bin/true"; casemapping = rfc1459;
    maxlogins = 50; maxusers = 50; maxnicks = 5; maxchans = 50; loglevel = {{ error; info; }};
}};
uplink "{HUB}" {{
    host = "127.0.0.1"; port = {port}; send_password = "{LINK_PASSWORD}"; receive_password = "{LINK_PASSWORD}";
}};
nickserv {{
    nick = "NickServ"; user = "NickServ"; host = "{SERVICES}"; real = "Nickname Services"; aliases {{ "ID" = "IDENTIFY"; }};
}};
chanserv {{ nick = "ChanServ"; user = "ChanServ"; host = "{SERVICES}"; real = "Channel Services"; }};
saslserv {{ nick = "SaslServ"; user = "SaslServ"; host = "{SERVICES}"; real = "SASL Agent"; }};
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{certificate::Certificate, inspircd::InspircdOptions};

    /// `\0account\0password` in Base64, as `AUTHENTICATE` of `PLAIN` wants it (RFC 4616).
    const ALICE_SESAME: &str = "AGFsaWNlAHNlc2FtZQ==";
    const ALICE_WRONG: &str = "AGFsaWNlAHdyb25n";

    async fn peers() -> (Inspircd, Atheme) {
        let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
        let services = Atheme::start(&server).await.unwrap();
        (server, services)
    }

    /// Asks for SASL with a mechanism, up to where the client has to prove itself.
    async fn begin(client: &mut RawClient, nick: &str, mechanism: &str) {
        let offered = client.ask("CAP LS 302", " LS ").await.unwrap();
        assert!(offered.contains(" sasl=EXTERNAL,PLAIN "), "{offered}");
        client.register(nick).await;
        client.ask("CAP REQ sasl", "ACK :sasl").await.unwrap();
        client
            .ask(&format!("AUTHENTICATE {mechanism}"), "AUTHENTICATE :+")
            .await
            .unwrap();
    }

    /// The numerics of SASL, in order (`IRCv3` sasl-3.1).
    async fn prove(client: &mut RawClient, proof: &str) -> Vec<String> {
        let mut said = Vec::new();
        let mut line = client
            .ask(&format!("AUTHENTICATE {proof}"), " 90")
            .await
            .unwrap();
        while line.contains(" 900 ") {
            said.push(line);
            line = client.hear(" 90").await.unwrap();
        }
        said.push(line);
        said
    }

    #[tokio::test]
    async fn an_account_is_registered_and_logged_into() {
        let (server, _services) = peers().await;
        let alice = register(&server, "alice", "sesame").await.unwrap();
        let logged_in = alice.heard.all();
        let logged_in = logged_in
            .iter()
            .find(|line| line.contains(" 900 "))
            .unwrap();
        assert_eq!(
            logged_in,
            ":hub.test.invalid 900 alice alice!alice@127.0.0.1 alice :You are now logged in as alice"
        );
        let mut bob = RawClient::welcomed(server.port, "bob").await.unwrap();
        let refused = bob
            .ask("PRIVMSG NickServ :IDENTIFY alice wrong", "NOTICE bob")
            .await
            .unwrap();
        assert_eq!(
            refused,
            ":NickServ!NickServ@services.test.invalid NOTICE bob :Invalid password for \u{2}alice\u{2}."
        );
        bob.ask("PRIVMSG NickServ :IDENTIFY alice sesame", " 900 bob ")
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn sasl_plain_takes_the_right_password_alone() {
        let (server, _services) = peers().await;
        let _alice = register(&server, "alice", "sesame").await.unwrap();
        let mut bob = RawClient::connect(server.port).await.unwrap();
        begin(&mut bob, "bob", "PLAIN").await;
        assert_eq!(
            prove(&mut bob, ALICE_SESAME).await,
            [
                ":hub.test.invalid 900 bob bob!bob@127.0.0.1 alice :You are now logged in as alice",
                ":hub.test.invalid 903 bob :SASL authentication successful",
            ]
        );
        bob.say("CAP END").await;
        bob.welcome().await.unwrap();
        let mut carol = RawClient::connect(server.port).await.unwrap();
        begin(&mut carol, "carol", "PLAIN").await;
        assert_eq!(
            prove(&mut carol, ALICE_WRONG).await,
            [":hub.test.invalid 904 carol :SASL authentication failed"]
        );
        carol.say("CAP END").await;
        carol.welcome().await.unwrap();
    }

    #[tokio::test]
    async fn sasl_external_takes_a_certificate_that_was_added() {
        let (server, _services) = peers().await;
        let mut alice = register(&server, "alice", "sesame").await.unwrap();
        let folder = TempDir::with_prefix("bridgehead-client-").unwrap();
        let own = Certificate::make(folder.path(), "alice").unwrap();
        let mut bob = tls(&server, &own).await;
        begin(&mut bob, "bob", "EXTERNAL").await;
        assert_eq!(
            prove(&mut bob, "+").await,
            [":hub.test.invalid 904 bob :SASL authentication failed"]
        );
        bob.say("CAP END").await;
        let print = bob
            .hear("your TLS (SSL) client certificate fingerprint is ")
            .await
            .unwrap();
        let print = print.rsplit(' ').next().unwrap();
        let added = alice
            .ask(
                &format!("PRIVMSG NickServ :CERT ADD {print}"),
                "fingerprint list",
            )
            .await;
        assert_eq!(
            added.unwrap(),
            format!(
                ":NickServ!NickServ@{SERVICES} NOTICE alice :Added fingerprint \x02{print}\x02 to your fingerprint list."
            )
        );
        let mut carol = tls(&server, &own).await;
        begin(&mut carol, "carol", "EXTERNAL").await;
        assert_eq!(
            prove(&mut carol, "+").await,
            [
                ":hub.test.invalid 900 carol carol!carol@127.0.0.1 alice :You are now logged in as alice",
                ":hub.test.invalid 903 carol :SASL authentication successful",
            ]
        );
    }

    async fn tls(server: &Inspircd, own: &Certificate) -> RawClient {
        let connected = RawClient::connect_tls(server.tls_port, &server.certificate, Some(own));
        connected.await.unwrap()
    }

    #[tokio::test]
    async fn sasl_comes_and_goes_with_the_services() {
        let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
        let mut alice = RawClient::connect(server.port).await.unwrap();
        no_sasl(&mut alice).await;
        alice.register("alice").await;
        alice.say("CAP END").await;
        alice.welcome().await.unwrap();
        let services = Atheme::start(&server).await.unwrap();
        // What was not there goes before it comes. When it really goes, nobody is told.
        for change in ["DEL :sasl", "NEW :sasl=EXTERNAL,PLAIN"] {
            let told = alice.hear(" CAP ").await.unwrap();
            assert_eq!(told, format!(":{HUB} CAP alice {change}"));
        }
        drop(services);
        server.wait_for_split(SERVICES).await.unwrap();
        let mut bob = RawClient::connect(server.port).await.unwrap();
        no_sasl(&mut bob).await;
        alice.ask("PING told", "PONG").await.unwrap();
        let told = alice.heard.all();
        assert_eq!(
            told.iter()
                .filter(|line| line.contains(" CAP alice DEL "))
                .count(),
            1
        );
    }

    /// Sees that SASL is neither offered nor given.
    async fn no_sasl(client: &mut RawClient) {
        let offered = client.ask("CAP LS 302", " LS ").await.unwrap();
        assert!(!offered.contains("sasl"), "{offered}");
        client.ask("CAP REQ sasl", "NAK :sasl").await.unwrap();
    }

    #[tokio::test]
    async fn a_registered_channel_keeps_its_operator() {
        let (server, _services) = peers().await;
        let mut alice = register(&server, "alice", "sesame").await.unwrap();
        alice.join("#mine").await.unwrap();
        alice
            .ask("PRIVMSG ChanServ :REGISTER #mine", "is now registered to")
            .await
            .unwrap();
        alice.ask("PART #mine", "PART").await.unwrap();
        let mut bob = RawClient::welcomed(server.port, "bob").await.unwrap();
        bob.join("#mine").await.unwrap();
        let taken = bob.hear(" MODE ").await.unwrap();
        assert_eq!(
            taken,
            format!(":ChanServ!ChanServ@{SERVICES} MODE #mine -o :bob")
        );
        alice.join("#mine").await.unwrap();
        let given = alice.hear(" MODE ").await.unwrap();
        assert_eq!(
            given,
            format!(":ChanServ!ChanServ@{SERVICES} MODE #mine +qo alice :alice")
        );
    }
}
