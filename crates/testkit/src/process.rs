//! Child processes whose output a test can wait for.

use anyhow::{Context as _, bail};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How many lines of output are kept; beyond that the older half is dropped.
const LINES_KEPT: usize = 40_000;
/// How many lines of output an error shows.
const LINES_SHOWN: usize = 40;
/// How long a process may take to end once it was told to.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Ports that systems give to nobody who does not ask for them: outgoing connections have theirs above.
const PORTS: std::ops::Range<u32> = 10_000..32_000;
/// How far apart two processes with neighbouring ids begin.
const APART: u32 = 97;
/// How long a process that was killed is waited for.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// How often is looked whether it is gone.
const LOOK: Duration = Duration::from_millis(1);

/// A port on loopback that is free, and that nobody else is given as long as this process runs.
///
/// One that the system chooses (port 0) is of those for outgoing connections: until a program that was told of it has
/// begun to listen, any connection may have got it. Tests run in many processes at a time, so each begins elsewhere; and
/// where two meet all the same, the first has it: whoever is given a port keeps its number for UDP. So a server finds its
/// port free when it is started later, and again.
///
/// # Errors
///
/// When no port can be bound.
pub fn free_port() -> io::Result<u16> {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    static KEPT: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let span = PORTS.end - PORTS.start;
    let begin = std::process::id().wrapping_mul(APART) % span;
    for _ in 0..span {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (begin + asked % span) % span;
        let port = u16::try_from(port).map_err(io::Error::other)?;
        let kept = UdpSocket::bind(("127.0.0.1", port));
        match kept.and_then(|kept| TcpListener::bind(("127.0.0.1", port)).map(|_| kept)) {
            Ok(kept) => {
                let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(kept);
                return Ok(port);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// What a process printed, on both of its outputs, in the order of arrival.
#[derive(Default)]
struct Output {
    lines: Vec<String>,
    /// How many of the outputs are not closed yet; none means that nothing will come any more.
    open: usize,
}

/// The output of a process, or of several that ran one after the other.
#[derive(Clone)]
pub(crate) struct Log(watch::Sender<Output>);

impl Log {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Output::default()))
    }

    fn push(&self, line: String) {
        self.0.send_modify(|output| {
            if output.lines.len() >= LINES_KEPT {
                output.lines.drain(..LINES_KEPT / 2);
            }
            output.lines.push(line);
        });
    }

    fn pump(&self, output: impl AsyncRead + Send + Unpin + 'static) {
        let log = self.clone();
        log.0.send_modify(|output| output.open += 1);
        tokio::spawn(async move {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line);
                log.push(text.trim_end().to_owned());
                line.clear();
            }
            log.0.send_modify(|output| output.open -= 1);
        });
    }
}

/// The memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// In use now, bytes.
    pub resident_bytes: u64,
    /// The most it ever was, bytes.
    pub highest_bytes: u64,
}

/// A running program. When this is dropped it is killed, and its output becomes part of the test's; then it is gone, and
/// where it has listened another may.
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

impl Process {
    /// Starts the program with its output captured, no input, and without proxies for loopback.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn spawn(name: &str, command: Command) -> anyhow::Result<Self> {
        Self::spawn_with_log(name, command, Log::new())
    }

    /// As [`Process::spawn`], continuing the log of an earlier run.
    pub(crate) fn spawn_with_log(
        name: &str,
        mut command: Command,
        log: Log,
    ) -> anyhow::Result<Self> {
        let mut child = command
            .env("NO_PROXY", "localhost,127.0.0.1,::1")
            .env("no_proxy", "localhost,127.0.0.1,::1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        if let Some(stdout) = child.stdout.take() {
            log.pump(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            log.pump(stderr);
        }
        let name = name.to_owned();
        Ok(Self { name, child, log })
    }

    /// Waits until what was printed so far satisfies the condition.
    ///
    /// # Errors
    ///
    /// When it does not within the time given.
    pub async fn wait_for_output(
        &self,
        what: &str,
        within: Duration,
        mut condition: impl FnMut(&[String]) -> bool,
    ) -> anyhow::Result<()> {
        let mut output = self.log.0.subscribe();
        let mut is_found = false;
        let found_or_over = output.wait_for(|output| {
            is_found = condition(&output.lines);
            is_found || output.open == 0
        });
        let in_time = tokio::time::timeout(within, found_or_over).await.is_ok();
        if is_found {
            return Ok(());
        }
        let name = &self.name;
        let why = if in_time {
            "ended and had not printed"
        } else {
            "did not print"
        };
        let output = self.output();
        let last = output.len().saturating_sub(LINES_SHOWN);
        bail!(
            "{name} {why} {what} within {within:?}; its last lines:\n{}",
            output[last..].join("\n")
        )
    }

    /// All lines printed so far that are still kept.
    pub fn output(&self) -> Vec<String> {
        self.log.0.borrow().lines.clone()
    }

    /// The exit status, if the process has ended.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends SIGKILL, and returns once the process is gone.
    ///
    /// # Errors
    ///
    /// When the process cannot be killed or does not go.
    pub async fn kill9(&mut self) -> anyhow::Result<ExitStatus> {
        self.log.push(format!("--- {}: kill -9", self.name));
        self.child.start_kill().context("kill -9")?;
        self.wait().await
    }

    /// Asks the process to end (SIGTERM), and returns once it has.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent or the process stays.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("-TERM").await
    }

    /// Does what Ctrl-C does (SIGINT), and returns once the process has ended.
    ///
    /// # Errors
    ///
    /// As [`Process::terminate`].
    pub async fn interrupt(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("-INT").await
    }

    /// Stops the process where it is (SIGSTOP): the system goes on accepting connections for it, and nobody answers.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub async fn freeze(&mut self) -> anyhow::Result<()> {
        self.send("-STOP").await
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub async fn thaw(&mut self) -> anyhow::Result<()> {
        self.send("-CONT").await
    }

    /// The system's number for it, until it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What the system says of its memory.
    ///
    /// # Errors
    ///
    /// When the process has ended, or the system has no `/proc`.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let pid = self.child.id().context("the process has ended already")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            Ok(kib
                .with_context(|| format!("no {name} in the status"))?
                .parse::<u64>()?
                << 10)
        };
        Ok(Memory {
            resident_bytes: field("VmRSS:")?,
            highest_bytes: field("VmHWM:")?,
        })
    }

    async fn signal(&mut self, signal: &str) -> anyhow::Result<ExitStatus> {
        self.send(signal).await?;
        self.wait().await
    }

    async fn send(&mut self, signal: &str) -> anyhow::Result<()> {
        self.log.push(format!("--- {}: kill {signal}", self.name));
        let pid = self.child.id().context("the process has ended already")?;
        let sent = Command::new("kill")
            .arg(signal)
            .arg(pid.to_string())
            .status()
            .await?;
        if !sent.success() {
            bail!("kill {signal} failed: {sent}");
        }
        Ok(())
    }

    async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(END_WITHIN, self.child.wait()).await;
        ended
            .with_context(|| format!("{} did not end within {END_WITHIN:?}", self.name))?
            .context("wait")
    }
}

impl Drop for Process {
    /// Prints the output; of a test that passes, the test runner shows none.
    fn drop(&mut self) {
        self.child.start_kill().ok();
        // A killed process closes what it has open in any order: who sees it hang up may be ahead of its listeners.
        let until = Instant::now() + GONE_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        for line in &self.log.0.borrow().lines {
            eprintln!("{}| {line}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn both_outputs_can_be_waited_for() {
        let process = Process::spawn("sh", shell("echo out; echo err >&2; sleep 60")).unwrap();
        for wanted in ["out", "err"] {
            process
                .wait_for_output(wanted, Duration::from_secs(10), |lines| {
                    lines.iter().any(|line| line == wanted)
                })
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_wait_for_what_never_comes_ends() {
        let process = Process::spawn("sh", shell("echo other; sleep 60")).unwrap();
        let waited = process
            .wait_for_output("never", Duration::from_millis(50), |_| false)
            .await;
        let error = waited.unwrap_err().to_string();
        assert!(
            error.starts_with("sh did not print never within 50ms"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_wait_on_a_program_that_ended_ends_at_once() {
        let process = Process::spawn("sh", shell("echo why")).unwrap();
        let waited = process
            .wait_for_output("never", Duration::from_secs(60), |_| false)
            .await;
        let error = waited.unwrap_err().to_string();
        assert!(
            error.starts_with("sh ended and had not printed never"),
            "{error}"
        );
        assert!(error.ends_with("why"), "{error}");
    }

    #[test]
    fn a_port_is_given_once() {
        let (one, other) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(one, other);
        for port in [one, other] {
            // What another process would find.
            let taken = UdpSocket::bind(("127.0.0.1", port)).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
            TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_dropped_is_gone() {
        let process = Process::spawn("sh", shell("trap '' TERM; sleep 60")).unwrap();
        let pid = process.pid().unwrap().to_string();
        let is_there = async || {
            let sent = Command::new("kill").args(["-0", &pid]).output().await;
            sent.unwrap().status.success()
        };
        assert!(is_there().await);
        drop(process);
        assert!(!is_there().await);
    }

    #[tokio::test]
    async fn terminate_is_a_request_and_kill9_is_not() {
        let deaf = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
        for (signal, code) in [("term", Some(3)), ("kill", None)] {
            let mut process = Process::spawn("sh", shell(deaf)).unwrap();
            process
                .wait_for_output("ready", Duration::from_secs(10), |lines| !lines.is_empty())
                .await
                .unwrap();
            let ended = if signal == "term" {
                process.terminate().await
            } else {
                process.kill9().await
            };
            assert_eq!(ended.unwrap().code(), code, "{signal}");
        }
    }
}
