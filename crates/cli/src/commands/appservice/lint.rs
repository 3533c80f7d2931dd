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
use bridgehead_homeserver::appservices::{OwnedServerName, ServerName, lint_files};
use clap::Args;
use serde::Serialize;

use super::{Caller, Common, registration};
use crate::{
    commands::print,
    output::{self, Look, Tone, clean, flow, of},
};

#[derive(Args)]
pub(super) struct Lint {
    /// Registration files to look at before they are added; without any, all in force.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask no server: files are read alone and against each other, not against what is in force.
    #[arg(long, requires = "files")]
    offline: bool,
    /// For files without a server: the name of the server that they are for; without it, the
    /// configured one.
    #[arg(long, value_name = "NAME", value_parser = parse_server_name)]
    server_name: Option<OwnedServerName>,
}

fn parse_server_name(text: &str) -> Result<OwnedServerName, String> {
    ServerName::parse(text).map_err(|error| error.to_string())
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
    let report = files_report(common, &lint).await?;
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

async fn files_report(common: &Common, lint: &Lint) -> anyhow::Result<FilesReport> {
    let server_name = || match &lint.server_name {
        Some(name) => Ok(name.clone()),
        None => common.connection.server_name(),
    };
    if lint.offline {
        return Ok(offline(lint, &server_name()?));
    }
    match ask_server(common, &lint.files).await {
        Err(error) if may_do_without(common, &error) => {
            eprintln!(
                "bridgehead: warning: no server was asked, so the services in force and the users are not known \
                 here ({error:#})"
            );
            Ok(offline(lint, &server_name()?))
        }
        Ok(mut report) if lint.files.len() > 1 => {
            add_mutual_overlaps(&mut report, offline(lint, &server_name()?));
            Ok(report)
        }
        asked => asked,
    }
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

/// What can be said without a server.
fn offline(lint: &Lint, server_name: &ServerName) -> FilesReport {
    let linted = lint_files(server_name, &lint.files).into_iter();
    FilesReport {
        online: false,
        files: linted
            .map(|linted| FileReport {
                file: linted.file.display().to_string(),
                findings: linted.findings,
            })
            .collect(),
    }
}

/// A server knows those in force. What these files do to each other it does not.
fn add_mutual_overlaps(report: &mut FilesReport, mutual: FilesReport) {
    for theirs in mutual.files {
        let Some(ours) = report.files.iter_mut().find(|one| one.file == theirs.file) else {
            continue;
        };
        for finding in theirs.findings {
            let is_same =
                |one: &Finding| one.kind == finding.kind && one.other_id == finding.other_id;
            let is_mutual = finding.kind == FindingKind::ExclusiveOverlap;
            if is_mutual && !ours.findings.iter().any(is_same) {
                ours.findings.push(finding);
            }
        }
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
        let message = format!("{service}{}", finding.message);
        text.push_str(&format!(
            "{}: {}\n",
            look.paint(tone, name),
            flow(look, name.len() + 2, Tone::Plain, &message)
        ));
        for line in details(finding) {
            text.push_str(&format!("    {}\n", flow(look, 4, Tone::Plain, &line)));
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
