//! What those who run the bridge tell it.

use bridgehead_appservice::{
    Handle as Service,
    bridge::{CommandAsk, Commands, Level},
};

use super::{Told, other};

/// Sentences of an answer at most; the log has all of them.
const MAX_TOLD: usize = 50;

pub(super) fn commands(commands: Commands) -> Commands {
    commands.command_for(
        Level::Admin,
        "reload",
        "reads the configuration again, and tells what that changes",
        reload,
    )
}

async fn reload(ask: CommandAsk, service: Service) -> Told {
    if !ask.is_management {
        return Err(other("Others could read what changes: tell me alone."));
    }
    let sentences = service.reload().await;
    let sentences = sentences.map_err(|error| other(error.to_string()))?;
    let mut lines: Vec<String> = sentences
        .iter()
        .take(MAX_TOLD)
        .map(|sentence| format!("- `{}`", sentence.replace('`', "'")))
        .collect();
    if sentences.len() > MAX_TOLD {
        let more = sentences.len() - MAX_TOLD;
        lines.push(format!("- and {more} more: the log has them"));
    }
    Ok(lines.join("\n"))
}
