//! Asks who opened a connection (RFC 1413).

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long an ident server may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// An answer is one line; RFC 1413 allows 1,000 bytes.
const MAX_ANSWER_BYTES: u64 = 1_000;

/// The user that the ident server at a port names for a connection; `None` where it does not.
pub(super) async fn ask(port: u16, local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let question = format!("{},{}\r\n", remote.port(), local.port());
    let ask = async {
        let mut stream = TcpStream::connect((remote.ip(), port)).await.ok()?;
        stream.write_all(question.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        let mut reader = stream.take(MAX_ANSWER_BYTES);
        while !answer.contains(&b'\n') && reader.read_buf(&mut answer).await.ok()? > 0 {}
        user(&String::from_utf8_lossy(&answer), local, remote)
    };
    tokio::time::timeout(DEADLINE, ask).await.ok().flatten()
}

/// Reads `port , port : USERID : system : user`, for these ports alone.
fn user(answer: &str, local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let mut fields = answer.trim_end().splitn(4, ':');
    let mut ports = fields.next()?.split(',').map(|port| port.trim().parse());
    let is_meant = ports.next()? == Ok(remote.port()) && ports.next()? == Ok(local.port());
    let is_user = fields.next()?.trim() == "USERID";
    let _system = fields.next()?;
    let user = fields.next()?.trim();
    let is_sane = !user.is_empty() && !user.contains([' ', '!', '@', ':', '\0']);
    (is_meant && is_user && is_sane).then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let local: SocketAddr = "127.0.0.1:6667".parse().expect("an address");
        let remote: SocketAddr = "127.0.0.1:40000".parse().expect("an address");
        for (answer, expected) in [
            ("40000 , 6667 : USERID : UNIX : alice\r\n", Some("alice")),
            ("40000,6667:USERID:UNIX:alice\r\n", Some("alice")),
            ("40000,6667:ERROR:NO-USER\r\n", None),
            ("40001,6667:USERID:UNIX:alice\r\n", None),
            ("40000,6667:USERID:UNIX:a!b\r\n", None),
            ("nonsense", None),
        ] {
            assert_eq!(user(answer, local, remote).as_deref(), expected, "{answer}");
        }
    }
}
