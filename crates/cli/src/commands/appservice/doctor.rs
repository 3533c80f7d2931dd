//! `doctor`: what keeps a service from being reached.

use std::process::ExitCode;

use bridgehead_admin_api::{DoctorReport, StepOutcome};

use super::Caller;
use crate::output::{Look, Tone, clean, time};

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
            clean(&step.detail)
        ));
        if let Some(cure) = &step.cure {
            text.push_str(&format!(
                "{:25}{}\n",
                "",
                look.paint(Tone::Strong, &clean(cure))
            ));
        }
    }
    let id = clean(&report.id);
    text + &match report.healthy {
        true => look.paint(Tone::Good, &format!("\n{id} is healthy\n")),
        false => look.paint(Tone::Bad, &format!("\n{id} is not healthy\n")),
    }
}
