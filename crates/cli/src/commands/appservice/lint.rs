//! `lint`: what is doubtful about registrations. Of files something can be said without a server,
//! and more with one.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use bridgehead_admin_api::{
    Client, ClientError, Finding, FindingKind, LintReport, LintRequest, Severity,
};
use bridgehead_homeserver::appservices::registration::load;
use clap::Args;
use serde::Serialize;

use super::{Caller, Common, registration};
use crate::{
    commands::print,
    output::{self, Look, Tone, clean, of},
};

#[derive(Args)]
pub(super) struct Lint {
    /// Registration files to look at before they are added; without any, all in force.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask no server: files are read alone and against each other, not against what is in force.
    #[arg(long, requires = "files")]
    offline: bool,
}

/// What was found in files, for scripts.
#[derive(Serialize)]
struct FilesReport {
    /// Whether a server was asked, which knows the other services and the users.
    online: bool,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    file: String,
    findings: Vec<Finding>,
}

pub(super) async fn run(common: &Common, lint: Lint) -> anyhow::Result<ExitCode> {
    if lint.files.is_empty() {
        let caller = Caller::new(common)?;
        let report = caller.client.lint(&LintRequest::default()).await?;
        caller.answer(&report, render)?;
        return Ok(code_for(&report.findings));
    }
    let report = if lint.offline {
        offline(&lint.files)
    } else {
        match ask_server(common, &lint.files).await {
            Err(error) if may_do_without(common, &error) => {
                eprintln!(
                    "bridgehead: warning: no server was asked, so the services in force and the users are not known \
                     here ({error:#})"
                );
                offline(&lint.files)
            }
            asked => asked?,
        }
    };
    let text = if common.json {
        output::json(&report)?
    } else {
        render_files(&report, Look::of_stdout())
    };
    print(&text)?;
    let all: Vec<_> = report
        .files
        .into_iter()
        .flat_map(|file| file.findings)
        .collect();
    Ok(code_for(&all))
}

fn code_for(findings: &[Finding]) -> ExitCode {
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    ExitCode::from(u8::from(findings.iter().any(is_error)))
}

/// A server that was not named may be missing; whoever names one wants it asked.
fn may_do_without(common: &Common, error: &anyhow::Error) -> bool {
    let is_refusal = matches!(error.downcast_ref(), Some(ClientError::Refused { .. }));
    !common.connection.is_explicit() && !is_refusal && !error.is::<std::io::Error>()
}

async fn ask_server(common: &Common, files: &[PathBuf]) -> anyhow::Result<FilesReport> {
    let client = common.connection.client()?;
    let mut reports = Vec::new();
    for path in files {
        reports.push(ask(&client, path).await?);
    }
    Ok(FilesReport {
        online: true,
        files: reports,
    })
}

async fn ask(client: &Client, path: &Path) -> anyhow::Result<FileReport> {
    let request = LintRequest {
        yaml: Some(registration::read(path)?),
    };
    let report = client.lint(&request).await;
    let report = report.with_context(|| path.display().to_string())?;
    Ok(FileReport {
        file: path.display().to_string(),
        findings: report.findings,
    })
}

/// What the reader of registrations says by itself.
fn offline(files: &[PathBuf]) -> FilesReport {
    let mut reports: Vec<_> = files
        .iter()
        .map(|path| FileReport {
            file: path.display().to_string(),
            findings: Vec::new(),
        })
        .collect();
    let mut add = |file: &Path, severity, kind, message: String| {
        let name = file.display().to_string();
        let finding = finding(severity, kind, message);
        match reports.iter_mut().find(|report| report.file == name) {
            Some(report) => report.findings.push(finding),
            // A file of a folder that was named.
            None => reports.push(FileReport {
                file: name,
                findings: vec![finding],
            }),
        }
    };
    match load(files) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                let message = warning.to_string();
                add(
                    &warning.file,
                    Severity::Warning,
                    FindingKind::Other,
                    message,
                );
            }
        }
        Err(errors) => {
            for error in &errors {
                let message = error.to_string();
                add(
                    &error.file,
                    Severity::Error,
                    FindingKind::Unreadable,
                    message,
                );
            }
        }
    }
    FilesReport {
        online: false,
        files: reports,
    }
}

/// The reader's words say what to do as well.
fn finding(severity: Severity, kind: FindingKind, message: String) -> Finding {
    Finding {
        kind,
        severity,
        service_id: None,
        other_id: None,
        pattern: None,
        witnesses: Vec::new(),
        count: None,
        message,
        cure: String::new(),
    }
}

pub(super) fn render(report: &LintReport, look: Look) -> String {
    format!(
        "{}{}\n",
        findings(&report.findings, look),
        total(&report.findings, look)
    )
}

fn render_files(report: &FilesReport, look: Look) -> String {
    let mut text = String::new();
    for file in &report.files {
        let heading = look.paint(Tone::Strong, &clean(&file.file));
        match file.findings.as_slice() {
            [] => text.push_str(&format!("{heading}: nothing found\n")),
            some => text.push_str(&format!("{heading}\n{}", findings(some, look))),
        }
    }
    let all: Vec<_> = report
        .files
        .iter()
        .flat_map(|file| &file.findings)
        .cloned()
        .collect();
    if !all.is_empty() {
        text.push_str(&format!("{}\n", total(&all, look)));
    }
    text
}

/// Each with what it is about, examples, and what to do.
pub(super) fn findings(findings: &[Finding], look: Look) -> String {
    let mut text = String::new();
    for finding in findings {
        let (name, tone) = match finding.severity {
            Severity::Error => ("error", Tone::Bad),
            Severity::Warning => ("warning", Tone::Odd),
            Severity::Note => ("note", Tone::Dim),
        };
        let service = finding.service_id.as_ref();
        let service = service.map_or(String::new(), |id| format!("{}: ", clean(id)));
        text.push_str(&format!(
            "{}: {service}{}\n",
            look.paint(tone, name),
            clean(&finding.message)
        ));
        for line in details(finding) {
            text.push_str(&format!("    {}\n", clean(&line)));
        }
    }
    text
}

fn details(finding: &Finding) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(pattern) = finding
        .pattern
        .as_ref()
        .filter(|one| !finding.message.contains(*one))
    {
        lines.push(format!("pattern: {pattern}"));
    }
    if !finding.witnesses.is_empty() {
        let in_all = finding
            .count
            .filter(|count| *count > finding.witnesses.len() as u64);
        let in_all = in_all.map_or(String::new(), |count| format!(" ({count} in all)"));
        lines.push(format!(
            "for example: {}{in_all}",
            finding.witnesses.join(", ")
        ));
    }
    if !finding.cure.is_empty() {
        lines.push(finding.cure.clone());
    }
    lines
}

fn total(findings: &[Finding], look: Look) -> String {
    let number = |severity| {
        findings
            .iter()
            .filter(|one| one.severity == severity)
            .count() as u64
    };
    let parts = [
        (number(Severity::Error), "error"),
        (number(Severity::Warning), "warning"),
        (number(Severity::Note), "note"),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| of(*number, name))
        .collect();
    match parts.as_slice() {
        [] => look.paint(Tone::Good, "nothing found"),
        some => some.join(", "),
    }
}
