//! The command `ksom` as a function, for its own program and for whoever brings the command along.

// Comments of arguments are help texts: brackets in them hold what may be left out, and are no links.
#![allow(rustdoc::broken_intra_doc_links)]

mod advice;
mod arguments;
mod before_after;
mod command_line;
mod commands;
mod console;
mod data;
mod evaluated;
mod experiment_progress;
#[cfg(feature = "explore")]
mod explore;
mod failure;
mod files;
mod hub;
mod interrupt;
mod left_out;
mod loss;
mod models;
mod output;
mod pictures;
mod processes;
mod progress;
mod settings;
#[cfg(feature = "shards")]
mod shards;
mod sheet;
mod similar;
mod training;
#[cfg(feature = "hub")]
mod transfer;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::command_line::{Cli, Command};
use crate::settings::Settings;

/// The exit code of a command that could not do what it was asked to.
pub use crate::failure::FAILED;

/// Runs the command with its arguments, of which the first is the program's name: prints what it has to say, and gives
/// the exit code. Takes over what the process says of a panic; a training takes over Ctrl-C.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    failure::install_panic_hook();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // 2 on wrong usage, and 0 for --help and --version.
        Err(told) => {
            // Nobody is left to tell if that fails.
            let _ = told.print();
            return told.exit_code() as u8;
        }
    };
    match catch_unwind(AssertUnwindSafe(|| dispatch(cli))) {
        Ok(Ok(code)) => leave(code),
        // Whoever reads our output has seen enough.
        Ok(Err(error)) if failure::is_broken_pipe(&error) => leave(0),
        Ok(Err(error)) => processes::give_up(|named| failure::report(&named(error))),
        Err(_) => processes::give_up(|_| failure::report_bug()),
    }
}

fn leave(code: u8) -> u8 {
    match processes::leave() {
        Ok(()) => code,
        Err(error) => processes::give_up(|named| failure::report(&named(error))),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<u8> {
    let mut settings = Settings::new(cli.global);
    if matches!(cli.command, Command::Train(_) | Command::Finetune(_) | Command::Experiment(_)) {
        settings.join(processes::join()?);
    }
    match cli.command {
        Command::Train(args) => output::print(&commands::train::run(args, &settings)?, &settings),
        Command::Finetune(args) => output::print(&commands::finetune::run(args, &settings)?, &settings),
        Command::Encode(args) => output::print(&commands::encode::run(args, &settings)?, &settings),
        Command::Decode(args) => output::print(&commands::decode::run(args, &settings)?, &settings),
        Command::Compare(args) => output::print(&commands::compare::run(args, &settings)?, &settings),
        Command::Reconstruct(args) => output::print(&commands::reconstruct::run(args, &settings)?, &settings),
        Command::Eval(args) => output::print(&commands::eval::run(args, &settings)?, &settings),
        Command::Experiment(args) => output::print(&commands::experiment::run(args, &settings)?, &settings),
        Command::Plot(args) => output::print(&commands::plot::run(args)?, &settings),
        Command::Explore(args) => commands::explore::run(args, &settings),
        Command::Map(args) => output::print(&commands::map::run(args, &settings)?, &settings),
        Command::Usage(args) => output::print(&commands::usage::run(args, &settings)?, &settings),
        Command::Perturb(args) => output::print(&commands::perturb::run(args, &settings)?, &settings),
        Command::Neighborhood(args) => output::print(&commands::neighborhood::run(args, &settings)?, &settings),
        Command::Bench(args) => output::print(&commands::bench::run(args, &settings)?, &settings),
        Command::Info(args) => output::print(&commands::info::run(args, &settings)?, &settings),
        Command::List(args) => output::print(&commands::list::run(args)?, &settings),
        Command::Pull(args) => output::print(&commands::pull::run(args, &settings)?, &settings),
        Command::Push(args) => output::print(&commands::push::run(args, &settings)?, &settings),
        #[cfg(feature = "shards")]
        Command::PushData(args) => output::print(&commands::push_data::run(args, &settings)?, &settings),
        Command::Convert(args) => output::print(&commands::convert::run(args, &settings)?, &settings),
        Command::Export(args) => output::print(&commands::export::run(args, &settings)?, &settings),
    }
}
