//! The page of live connections, beside the figures: `/irc` for people, `/irc.json` for programs.
//!
//! It changes nothing, and shows nothing secret. Who may see it is the kit's affair: see
//! [`Service::operator_pages`](bridgehead_appservice::Service::operator_pages).

use std::{fmt::Write as _, sync::Arc, time::Duration};

use bridgehead_appservice::{
    Handle as Service,
    axum::{
        Json, Router,
        extract::State as From,
        http::StatusCode,
        response::{IntoResponse as _, Response},
        routing::get,
    },
    bridge::PolicyReport,
};
use serde_json::json;

use crate::{
    network::{ClientLook, Look, State},
    networks::Networks,
};

/// How long a network's loop may take to answer; it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// The page about these networks.
pub(crate) fn page(networks: Networks) -> Router {
    Router::new()
        .route("/irc", get(text))
        .route("/irc.json", get(json))
        .with_state(networks)
}

/// How each network stands; without its state, one that does not answer.
async fn looks(networks: &Networks) -> Vec<(Arc<str>, Option<Look>)> {
    let all = networks.all();
    let asked = all.iter().map(|network| async {
        let look = tokio::time::timeout(PATIENCE, network.look()).await;
        (network.name.clone(), look.ok().flatten())
    });
    futures_util::future::join_all(asked).await
}

/// A page with a network that does not answer is no success: a probe may rely on it.
fn status(looks: &[(Arc<str>, Option<Look>)]) -> StatusCode {
    match looks.iter().all(|(_, look)| look.is_some()) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// How the ban lists stand; none, while the service ends.
fn policies(service: &Service) -> PolicyReport {
    service.policies().unwrap_or_default()
}

async fn json(From(networks): From<Networks>, service: Service) -> Response {
    let looks = looks(&networks).await;
    let status = status(&looks);
    let told = looks.into_iter().map(|(name, look)| match look {
        Some(look) => json!(look),
        None => json!({ "network": &*name, "problem": "it does not answer" }),
    });
    let networks: Vec<_> = told.collect();
    let told = json!({ "networks": networks, "ban_lists": policies(&service) });
    (status, Json(told)).into_response()
}

async fn text(From(networks): From<Networks>, service: Service) -> Response {
    let looks = looks(&networks).await;
    let status = status(&looks);
    let mut page = String::new();
    for (name, look) in &looks {
        match look {
            Some(look) => write_network(&mut page, look),
            None => write_line(&mut page, &format!("{name}  DOES NOT ANSWER\n")),
        }
    }
    write_policies(&mut page, &policies(&service));
    (status, page).into_response()
}

fn write_policies(page: &mut String, report: &PolicyReport) {
    if report.rooms.is_empty() {
        return;
    }
    let unread = report.rooms.iter().filter(|room| room.problem.is_some());
    let head = format!(
        "ban lists  ({} rules; {} rooms could not be read)",
        report.rules,
        unread.count()
    );
    write_line(page, &head);
    for room in &report.rooms {
        let problem = room.problem.as_deref();
        let problem = problem.map_or_else(String::new, |problem| format!("  error: {problem}"));
        let line = format!("  {}  {} rules{problem}", room.room, room.rules);
        let clean: String = line.chars().filter(|letter| !letter.is_control()).collect();
        write_line(page, &clean);
    }
    write_line(page, "");
}

fn write_line(page: &mut String, line: &str) {
    // A `String` takes everything.
    let _ = writeln!(page, "{line}");
}

fn write_network(page: &mut String, look: &Look) {
    // Some servers never say what their network is called.
    let is_up = look.clients.iter().any(|client| client.state == State::Up);
    let unnamed = match is_up {
        true => "connected",
        false => "not connected yet",
    };
    let title = look.title.as_deref().unwrap_or(unnamed);
    let head = format!(
        "{}  ({title}; {})\n{} messages wait, {} lines wait for Matrix, {} people away in a netsplit",
        look.network,
        look.servers.join(", "),
        look.messages_waiting,
        look.deeds_waiting,
        look.away_in_netsplit,
    );
    write_line(page, &head);
    for client in &look.clients {
        write_client(page, client);
    }
    write_line(page, "");
}

fn write_client(page: &mut String, client: &ClientLook) {
    let state = client.state.name();
    let nick = client.nick.as_deref().unwrap_or("-");
    let mut line = format!("  {state:<10}  {nick:<20}  {}", client.owner);
    let mut tell = |text: String| {
        let _ = write!(line, "  {text}");
    };
    if let Some(account) = &client.account {
        tell(format!("account {account}"));
    }
    if let Some(lag_ms) = client.lag_ms {
        tell(format!("lag {lag_ms} ms"));
    }
    if client.messages_waiting > 0 {
        tell(format!("{} messages wait", client.messages_waiting));
    }
    if let Some(seconds) = client.next_attempt_in_s {
        tell(format!("next attempt in {seconds} s"));
    }
    if !client.channels.is_empty() {
        tell(client.channels.join(" "));
    }
    if !client.missing.is_empty() {
        tell(format!("not in {}", client.missing.join(" ")));
    }
    if let Some(error) = &client.last_error {
        tell(format!("error: {error}"));
    }
    // What servers say is one line, and moves no cursor.
    let clean: String = line.chars().filter(|letter| !letter.is_control()).collect();
    write_line(page, &clean);
    for (channel, why) in &client.refused {
        write_line(page, &format!("              {channel} refuses: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(title: Option<&str>, state: State) -> String {
        let bridge = ClientLook {
            owner: "bridge".to_owned(),
            state,
            nick: None,
            account: None,
            channels: Vec::new(),
            missing: Vec::new(),
            refused: std::collections::BTreeMap::new(),
            lag_ms: None,
            connected_for_s: None,
            next_attempt_in_s: None,
            failures: 0,
            last_error: None,
            messages_waiting: 0,
            silent_for_s: 0,
        };
        let look = Look {
            network: "net".to_owned(),
            title: title.map(str::to_owned),
            servers: vec!["irc.example.org:6697".to_owned()],
            messages_waiting: 0,
            deeds_waiting: 0,
            away_in_netsplit: 0,
            clients: vec![bridge],
        };
        let mut page = String::new();
        write_network(&mut page, &look);
        page
    }

    #[test]
    fn a_network_that_does_not_name_itself_is_connected_all_the_same() {
        for (title, state, wanted) in [
            (None, State::Up, "net  (connected; "),
            (None, State::Connecting, "net  (not connected yet; "),
            (Some("ExampleNet"), State::Waiting, "net  (ExampleNet; "),
        ] {
            let page = page_of(title, state);
            assert!(page.starts_with(wanted), "{page}");
        }
    }
}
