//! `doctor`: what keeps a service from being reached.

use std::process::ExitCode;

use bridgehead_admin_api::{DoctorReport, StepOutcome};

use super::Caller;
use crate::output::{Look, Tone, clean, flow, time};

/// Where what was found begins.
const COLUMN: usize = 25;

pub(super) async fn run(caller: &Caller, id: &str) -> anyhow::Result<ExitCode> {
    let report = caller.client.examine(id).await?;
    caller.answer(&report, render)?;
    Ok(if report.healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) fn render(report: &DoctorReport, look: Look) -> String {
    let mut text = String::new();
    for step in &report.steps {
        let (mark, tone) = match step.outcome {
            StepOutcome::Ok => ("✓", Tone::Good),
            StepOutcome::Warning => ("!", Tone::Odd),
            StepOutcome::Failed => ("✗", Tone::Bad),
            StepOutcome::Skipped => ("–", Tone::Dim),
        };
        let took = match step.outcome {
            StepOutcome::Skipped => String::new(),
            _ => time::duration(step.took_ms),
        };
        text.push_str(&format!(
            "{}  {:<11} {took:>8}  {}\n",
            look.paint(tone, mark),
            clean(&step.name),
            flow(look, COLUMN, Tone::Plain, &step.detail)
        ));
        if let Some(cure) = &step.cure {
            let cure = flow(look, COLUMN, Tone::Strong, cure);
            text.push_str(&format!("{:COLUMN$}{cure}\n", ""));
        }
    }
    let id = clean(&report.id);
    let end = match report.healthy {
        true => look.paint(Tone::Good, &format!("{id} is healthy")),
        false => look.paint(Tone::Bad, &format!("{id} is not healthy")),
    };
    format!("{text}\n{end}\n")
}
