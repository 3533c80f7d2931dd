//! `WEBIRC password gateway hostname ip`: a gateway tells where somebody really comes from (IRCv3 webirc).

use bridgehead_irc_protocol::Line;

use crate::state::{State, client::ClientId};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let is_right = state.dialect.webirc_password.as_deref() == Some(&*line.text(0));
    let is_late = state.client(id).is_some_and(|client| {
        let progress = &client.progress;
        progress.has_user || !client.nick.is_empty() || progress.is_gatewayed
    });
    if !is_right || is_late {
        let text = "WEBIRC: Access denied from your address";
        state.close(id, text, text);
        return;
    }
    let (host, ip) = (line.text(2).into_owned(), line.text(3).into_owned());
    let is_secure = line.text(4).split(' ').any(|option| option == "secure");
    let is_plain = !ip.is_empty() && !host.is_empty() && !host.starts_with(':');
    if let Some(client) = state.client_mut(id).filter(|_| is_plain) {
        // An address that begins with a colon would end the parameters where it is shown.
        client.peer.ip = if ip.starts_with(':') {
            format!("0{ip}")
        } else {
            ip
        };
        client.peer.is_secure &= is_secure;
        client.host = host;
        client.progress.is_gatewayed = true;
    }
}
