//! The workspace's habits as commands: `cargo xtask COMMAND`.
//!
//! Every command sets up what it needs first, names each step before it takes it, and exits with the code of the
//! step that failed.

mod bench;
mod build;
mod command;
mod demo;
mod dependencies;
mod dist;
mod fuzz;
mod kernels;
mod lint;
mod picture;
mod privilege;
mod run;
mod sanitize;
mod setup;
mod soak;
mod test;
#[path = "../../gateway/build/toolchain.rs"]
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::command::Failed;

/// Set up, build, run and check the gateway.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Setup(setup::Setup),
    Build(build::Build),
    Lint(lint::Lint),
    Run(run::Run),
    Demo(demo::Demo),
    Test(test::Test),
    Bench(bench::Bench),
    Fuzz(fuzz::Fuzz),
    Sanitize(sanitize::Sanitize),
    Soak(soak::Soak),
    Dist(dist::Dist),
    Picture(picture::Picture),
    #[command(hide = true)]
    TestProgram(test::TestProgram),
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Setup(task) => task.execute(),
        Task::Build(task) => task.execute(),
        Task::Lint(task) => task.execute(),
        Task::Run(task) => task.execute(),
        Task::Demo(task) => task.execute(),
        Task::Test(task) => task.execute(),
        Task::Bench(task) => task.execute(),
        Task::Fuzz(task) => task.execute(),
        Task::Sanitize(task) => task.execute(),
        Task::Soak(task) => task.execute(),
        Task::Dist(task) => task.execute(),
        Task::Picture(task) => task.execute(),
        Task::TestProgram(task) => task.execute(),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    match error.downcast_ref::<Failed>() {
        Some(failed) => failed.exit_code(),
        None => ExitCode::FAILURE,
    }
}
