//! What the process itself costs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Metrics,
    catalogue::{BUILD_INFO, PROCESS_CPU, PROCESS_FDS, PROCESS_MEMORY, UPTIME},
};

/// What was told before of what only grows.
#[derive(Default)]
pub(super) struct Told {
    cpu_seconds: AtomicU64,
}

impl Metrics {
    /// Reads and tells what the process costs. Quick: a few small virtual files.
    pub(super) fn refresh_process(&self) {
        self.set(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        self.set(&UPTIME, &[], self.started.elapsed().as_secs_f64());
        if let Some(seconds) = cpu_seconds() {
            let told = self
                .process
                .cpu_seconds
                .fetch_max(seconds, Ordering::Relaxed);
            self.count(&PROCESS_CPU, &[], seconds.saturating_sub(told));
        }
        if let Some(bytes) = resident_bytes() {
            self.set(&PROCESS_MEMORY, &[], bytes as f64);
        }
        if let Some(count) = open_files() {
            self.set(&PROCESS_FDS, &[], count as f64);
        }
    }
}

#[cfg(unix)]
fn cpu_seconds() -> Option<u64> {
    use rustix::time::{ClockId, clock_gettime};
    u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).ok()
}

#[cfg(not(unix))]
fn cpu_seconds() -> Option<u64> {
    None
}

/// From `/proc`, which only Linux has.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// From `/proc`, which only Linux has. The folder's own handle is not counted.
fn open_files() -> Option<usize> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count().saturating_sub(1))
}

/// Bytes that the server may still write on the disk of a folder.
#[cfg(unix)]
pub(super) fn disk_free_bytes(folder: &std::path::Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Bytes that the server may still write on the disk of a folder; not knowable here.
#[cfg(not(unix))]
pub(super) fn disk_free_bytes(_: &std::path::Path) -> Option<u64> {
    None
}
