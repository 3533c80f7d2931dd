//! The keeper as a program: the command `keeper` of whoever has it.

use std::{
    error::Error, ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::Keeper;

/// For how long connections without a bridge are kept.
const MINUTES: u64 = 10;
const MAX_MINUTES: u64 = 24 * 60;

const USAGE: &str = "\
Usage: bridgehead-irc keeper --listen <PATH> [--minutes <N>] [--ident <ADDRESS>]

Holds the bridge's connections to IRC, so that nobody there notices when the bridge is restarted. The bridge's
configuration names the same path (keeper.socket).

  --listen <PATH>   The unix socket to listen at; its folder should be this user's alone
  --minutes <N>     For how long connections are kept while no bridge is there (10; 1440 at most)
  --ident <ADDRESS> Answer there whose each connection is (RFC 1413), such as 0.0.0.0:113, whether the bridge is there or
                    not; the bridge's configuration has no ident.listen then
";

/// What the command was told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    path: PathBuf,
    patience: Duration,
    ident: Option<SocketAddr>,
}

/// Reads the words behind `keeper`.
fn read(words: &[OsString]) -> Result<Told, String> {
    let (mut path, mut minutes, mut ident) = (None, MINUTES, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{} needs a value", word.display()))?;
        match word.to_str() {
            Some("--listen") => path = Some(PathBuf::from(value)),
            Some("--minutes") => {
                let number = value.to_str().and_then(|value| value.parse().ok());
                minutes = number
                    .filter(|number| (1..=MAX_MINUTES).contains(number))
                    .ok_or_else(|| format!("--minutes takes a number from 1 to {MAX_MINUTES}"))?;
            }
            Some("--ident") => {
                let address = value.to_str().and_then(|value| value.parse().ok());
                ident = Some(
                    address.ok_or("--ident takes an address and a port, such as 0.0.0.0:113")?,
                );
            }
            _ => return Err(format!("{} is unknown", word.display())),
        }
    }
    Ok(Told {
        path: path.ok_or("--listen is missing")?,
        patience: Duration::from_secs(60 * minutes),
        ident,
    })
}

/// Keeps connections until it is told to end. The words are those behind the command's name.
pub async fn run(words: &[OsString]) -> ExitCode {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let told = match read(words) {
        Ok(told) => told,
        Err(why) => {
            eprint!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match keep(&told).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn keep(told: &Told) -> Result<(), Box<dyn Error>> {
    let mut keeper = Keeper::listen(&told.path, told.patience).await?;
    if let Some(address) = told.ident {
        let answering = keeper.answer_ident(address).await;
        answering.map_err(|error| {
            format!("nobody can be told at {address} whose a connection is: {error}; name another --ident")
        })?;
    }
    let (mut end, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    println!("keeping connections at {}", told.path.display());
    let quitting = async {
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Whatever a server does, it does not keep the keeper from ending.
        let patience = Duration::from_secs(10);
        let quit = keeper.quit("The bridge is being restarted");
        tokio::time::timeout(patience, quit).await.ok();
    };
    tokio::select! {
        () = keeper.run() => {}
        () = quitting => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> Result<Told, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        read(&words)
    }

    #[test]
    fn a_path_is_enough_and_mistakes_are_told() {
        let keeps = told(&["--listen", "/run/k"]).expect("enough");
        assert_eq!(keeps.path, PathBuf::from("/run/k"));
        assert_eq!(keeps.patience, Duration::from_secs(600));
        let keeps = told(&["--minutes", "2", "--listen", "k"]).expect("all of it");
        assert_eq!(keeps.patience, Duration::from_secs(120));
        assert_eq!(keeps.ident, None);
        let keeps = told(&["--listen", "k", "--ident", "127.0.0.1:113"]).expect("all of it");
        assert_eq!(keeps.ident, Some(([127, 0, 0, 1], 113).into()));
        for (words, why) in [
            (&[][..], "--listen is missing"),
            (&["--listen"], "--listen needs a value"),
            (&["--listen", "k", "--minutes", "0"], "from 1 to 1440"),
            (&["--socket", "k"], "--socket is unknown"),
            (&["--listen", "k", "--ident", "here"], "such as 0.0.0.0:113"),
        ] {
            let error = told(words).expect_err("a mistake");
            assert!(error.contains(why), "{words:?}: {error}");
        }
    }
}
