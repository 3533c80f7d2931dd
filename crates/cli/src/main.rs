//! The `bridgehead` executable: `serve`, `demo`, and tools around them.

mod commands;
mod exit;
mod log;
mod output;
#[cfg(test)]
mod reference;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use commands::{appservice, completions, config, demo, operator, registration, serve, user};

/// A Matrix homeserver made for application services.
#[derive(Parser)]
#[command(name = "bridgehead", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the homeserver.
    Serve(serve::Arguments),
    /// Run a homeserver, a small application service and a conversation between them.
    Demo(demo::Arguments),
    /// See and steer the application services of a running server.
    Appservice(appservice::Arguments),
    /// Say who may see and steer a running server.
    Operator(operator::Arguments),
    /// Check a configuration file, or print an example or the reference.
    #[command(subcommand)]
    Config(config::Command),
    /// Write and check registration files of application services.
    #[command(subcommand)]
    Registration(registration::Command),
    /// Make accounts.
    #[command(subcommand)]
    User(user::Command),
    /// Print a script that lets a shell complete these commands.
    Completions(completions::Completions),
    /// Print the manual page, or write one for each command.
    Man(completions::Man),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The process's TLS provider, for whatever speaks HTTPS; nobody has set one before.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bridgehead: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Appservice(arguments) => appservice::run(arguments).await,
            Command::Operator(arguments) => operator::run(arguments).await,
            Command::Config(command) => config::run(&command),
            Command::Registration(command) => registration::run(command),
            Command::User(command) => user::run(command).await,
            Command::Completions(completions) => {
                completions::complete(&completions, Arguments::command())
            }
            Command::Man(man) => completions::man(&man, Arguments::command()),
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bridgehead: {error:#}");
            ExitCode::from(exit::code_of(&error))
        }
    }
}
