//! The `bridgehead` executable: `serve`, `demo`, and tools around them.

mod commands;
mod log;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{config, demo, registration, serve, user};

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
    /// Check a configuration file, or print an example or the reference.
    #[command(subcommand)]
    Config(config::Command),
    /// Write and check registration files of application services.
    #[command(subcommand)]
    Registration(registration::Command),
    /// Make accounts.
    #[command(subcommand)]
    User(user::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
            Command::Config(command) => config::run(&command),
            Command::Registration(command) => registration::run(command),
            Command::User(command) => user::run(command).await,
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bridgehead: {error:#}");
            ExitCode::FAILURE
        }
    }
}
