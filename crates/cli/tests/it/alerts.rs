//! The commands that the alert rules name are commands.

use std::process::Command;

use crate::BRIDGEHEAD;

#[test]
fn alerts_name_commands_that_exist() {
    let rules = include_str!("../../../../contrib/prometheus-alerts.yml");
    let commands: Vec<Vec<&str>> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("command: "))
        .flat_map(|commands| commands.trim_matches('"').split(';'))
        .map(|command| command.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.first() == Some(&"bridgehead"))
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for words in commands {
        let verb = words[1..].iter().take_while(|word| !word.contains("{{"));
        let run = Command::new(BRIDGEHEAD)
            .args(verb)
            .arg("--help")
            .output()
            .unwrap();
        assert!(run.status.success(), "{words:?}");
    }
}
