//! The log of the server: where it goes, and what is never in it.
//!
//! Our own lines name no token, body or content. Libraries know no such rule, and at their most talkative print what
//! passes over the wire; that level of theirs is never written.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io,
    panic::{self, PanicHookInfo},
};

use anyhow::Context as _;
use bridgehead_homeserver::config::{Log, LogFormat};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt as _, registry,
    util::SubscriberInitExt as _,
};

use crate::commands::wants_colours;

/// Sends the log to standard error as the configuration says, panics included.
pub(crate) fn start(config: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter(&config.filter)).context("log.filter")?;
    subscriber(config.format, filter, wants_colours(), io::stderr).init();
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The library that checks authorisations logs each of them; that is of use to its authors only.
fn filter(configured: &str) -> String {
    format!("ruma_state_res=warn,{configured}")
}

fn subscriber(
    format: LogFormat,
    filter: EnvFilter,
    colours: bool,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Box<dyn Subscriber + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let log = registry().with(filter).with(filter_fn(may_be_logged));
    Box::new(log.with(lines))
}

fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::DEBUG || line.target().starts_with("bridgehead")
}

/// A panic is a bug. Where it happened is logged, and what stands there in the source; a text that was put together
/// at run time is not, for it may repeat anything.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let message = panic.payload().downcast_ref::<&'static str>().copied();
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        panic.location = location,
        panic.message = message,
        panic.backtrace = backtrace,
        "panic; this is a bug"
    );
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        panic::{self, AssertUnwindSafe},
        sync::{Arc, Mutex},
    };

    use super::{LogFormat, filter, log_panic, subscriber};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at `trace` while `work` runs.
    fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let filter = tracing_subscriber::EnvFilter::new(filter("trace"));
        let log = subscriber(format, filter, false, move || writer.clone());
        tracing::subscriber::with_default(log, work);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn libraries_do_not_tell_what_passes_over_the_wire() {
        let log = logged(LogFormat::Text, || {
            tracing::trace!(target: "tungstenite::protocol", "hunter2");
            tracing::debug!(target: "tungstenite::protocol", "connected");
            tracing::trace!(target: "bridgehead_homeserver::sync", "ours");
        });
        assert!(!log.contains("hunter2"), "{log}");
        assert!(log.contains("connected") && log.contains("ours"), "{log}");
    }

    #[test]
    fn a_panic_is_logged_without_what_was_put_into_its_text() {
        let before = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let log = [LogFormat::Text, LogFormat::Json].map(|format| {
            logged(format, || {
                let secret = std::hint::black_box("hunter2");
                panic::catch_unwind(AssertUnwindSafe(|| panic!("cannot use {secret}")))
                    .unwrap_err();
                panic::catch_unwind(|| panic!("the plain text of a bug")).unwrap_err();
            })
        });
        panic::set_hook(before);
        for log in &log {
            assert!(!log.contains("hunter2"), "{log}");
            assert!(log.contains("the plain text of a bug"), "{log}");
            // Their backtraces, where those are asked for, name this file again and again.
            let places = log.lines().filter(|line| line.contains("log.rs:"));
            assert_eq!(places.count(), 2, "{log}");
        }
        for line in log[1].lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["fields"]["message"], "panic; this is a bug");
        }
    }
}
