//! Lines as they come in, kept in order, for which a test can wait.

use super::SOON;
use anyhow::bail;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    sync::watch,
};

/// How many lines are kept; a test that hears more is broken.
const MAX_LINES: usize = 100_000;

/// What came in so far.
#[derive(Default)]
struct Lines {
    kept: Vec<String>,
    /// The same as it came.
    bytes: Vec<Vec<u8>>,
    /// Nothing more will come.
    is_over: bool,
}

/// All that somebody heard. A wait goes on behind the line that the wait before it ended with.
pub(crate) struct Heard {
    whose: String,
    lines: watch::Receiver<Lines>,
    /// How many lines the waits have passed.
    passed: usize,
}

impl Heard {
    /// Reads until the end, telling each line on its way. Bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn listen(
        whose: &str,
        reader: impl AsyncRead + Send + Unpin + 'static,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let (sender, lines) = watch::channel(Lines::default());
        tokio::spawn(async move {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while let Ok(1..) = reader.read_until(b'\n', &mut line).await
                && sender.borrow().kept.len() < MAX_LINES
            {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\r', '\n']);
                on_line(text);
                let bytes = line.trim_ascii_end().to_vec();
                sender.send_modify(|lines| {
                    lines.kept.push(text.to_owned());
                    lines.bytes.push(bytes);
                });
                line.clear();
            }
            sender.send_modify(|lines| lines.is_over = true);
        });
        Self {
            whose: whose.to_owned(),
            lines,
            passed: 0,
        }
    }

    /// All lines, from the beginning.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.borrow().kept.clone()
    }

    /// All lines as they came, without their ends.
    pub(crate) fn all_bytes(&self) -> Vec<Vec<u8>> {
        self.lines.borrow().bytes.clone()
    }

    /// The next line that is as wanted; those before it are passed over.
    pub(crate) async fn next(
        &mut self,
        what: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<String> {
        let mut found = None;
        let passed = self.passed;
        self.wait(what, |lines| {
            let mut coming = lines.iter().enumerate().skip(passed);
            found = coming
                .find(|(_, line)| is_wanted(line))
                .map(|(at, line)| (at, line.clone()));
            found.is_some()
        })
        .await?;
        let Some((at, line)) = found else {
            bail!("{what} was there and is gone");
        };
        self.passed = at + 1;
        Ok(line)
    }

    /// Waits until all lines together are as wanted. No line is passed over by it.
    pub(crate) async fn wait(
        &mut self,
        what: &str,
        mut is_wanted: impl FnMut(&[String]) -> bool,
    ) -> anyhow::Result<()> {
        let mut is_found = false;
        let waited = self.lines.wait_for(|lines| {
            is_found = is_wanted(&lines.kept);
            is_found || lines.is_over
        });
        let in_time = tokio::time::timeout(SOON, waited).await.is_ok();
        if is_found {
            return Ok(());
        }
        let (whose, all) = (&self.whose, self.all().join("\n"));
        let why = if in_time {
            "before the end".to_owned()
        } else {
            format!("within {SOON:?}")
        };
        bail!("{whose} did not hear {what} {why}; heard was:\n{all}")
    }

    /// Waits for the end, and gives all lines.
    pub(crate) async fn end(&mut self) -> anyhow::Result<Vec<String>> {
        let ended = tokio::time::timeout(SOON, self.lines.wait_for(|lines| lines.is_over));
        if ended.await.is_err() {
            let (whose, all) = (&self.whose, self.all().join("\n"));
            bail!("{whose} still listens after {SOON:?}; heard was:\n{all}");
        }
        Ok(self.all())
    }
}

#[tokio::test]
async fn a_wait_passes_what_it_waited_for_and_ends_with_the_source() {
    let mut heard = Heard::listen("she", &b"one\r\ntwo\nthree \xff\n"[..], |_| ());
    assert_eq!(
        heard.next("two", |line| line == "two").await.unwrap(),
        "two"
    );
    let error = heard.next("one", |line| line == "one").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "she did not hear one before the end; heard was:\none\ntwo\nthree \u{fffd}"
    );
    assert_eq!(heard.end().await.unwrap().len(), 3);
}
