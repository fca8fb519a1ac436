//! End-to-end tests on login nodes that boot. Run them with `tests/run --only e2e -- FILTER`.
//!
//! To add a test: write a function `fn the_promise(world: &World) -> Outcome` in the module of its
//! theme, and put its name into the module's `cases![]`. To add a theme: a module here with
//! `pub fn cases() -> Vec<Case>`, and a line in [`all`].

mod account_command;
mod accounts;
mod administration;
mod agent_clients;
mod answer_times;
mod audit;
mod backup;
mod bad_input;
mod bench;
mod canaries;
mod case;
mod cluster;
mod confinement;
mod crash;
mod delay;
mod doctor;
mod errors;
mod figures;
mod first_login;
mod hostile_files;
mod iamctl;
mod identity;
mod import;
mod installed;
mod issuer_faults;
mod load;
mod login_command;
mod login_is_sacred;
mod memory;
mod names;
mod node;
mod node_faults;
mod own;
mod passphrase;
mod password_flow;
mod people;
mod policy;
mod profile_script;
mod quotas;
mod readers;
mod rekey;
mod reload;
mod renewal;
mod run_command;
mod seeing;
mod seen;
mod sessions_and_files;
mod soak;
mod ssh_stays_clean;
mod token_socket;
mod unauthorised;
mod unit;
mod users_apart;
mod walk;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;

use iamd_tests::{World, sweep};
use libtest_mimic::{Arguments, Trial};

use crate::case::Case;

/// Tests mostly wait for nodes, not for this machine's processors.
const SIDE_BY_SIDE: usize = 8;

fn all() -> Vec<Case> {
    // What takes minutes goes first.
    [
        renewal::cases(),
        bench::cases(),
        crash::cases(),
        login_is_sacred::cases(),
        load::cases(),
        cluster::cases(),
        sessions_and_files::cases(),
        readers::cases(),
        agent_clients::cases(),
        seeing::cases(),
        doctor::cases(),
        reload::cases(),
        policy::cases(),
        unit::cases(),
        confinement::cases(),
        node::cases(),
        installed::cases(),
        accounts::cases(),
        identity::cases(),
        import::cases(),
        names::cases(),
        audit::cases(),
        first_login::cases(),
        account_command::cases(),
        login_command::cases(),
        passphrase::cases(),
        password_flow::cases(),
        rekey::cases(),
        backup::cases(),
        profile_script::cases(),
        iamctl::cases(),
        token_socket::cases(),
        run_command::cases(),
        ssh_stays_clean::cases(),
        users_apart::cases(),
        administration::cases(),
        unauthorised::cases(),
        walk::cases(),
        answer_times::cases(),
        quotas::cases(),
        hostile_files::cases(),
        issuer_faults::cases(),
        node_faults::cases(),
        errors::cases(),
        bad_input::cases(),
        canaries::cases(),
    ]
    .concat()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(SIDE_BY_SIDE));
    let mut world = None;
    if !arguments.list {
        match World::start(|line| eprintln!("      {line}")) {
            Ok(started) => world = Some(Arc::new(started)),
            Err(error) => {
                eprintln!("e2e: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if let (Some(running), Some(hours)) = (&world, soak::hours()) {
        let code = soak::run(running, hours);
        drop(world);
        return code;
    }
    let trials: Vec<Trial> = all().into_iter().map(|case| case.trial(world.clone())).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Takes nodes and namespaces down, before the exit that would skip it.
    drop(world);
    let left = sweep::left_of(std::process::id());
    if !left.is_empty() {
        eprintln!("e2e: the run left something behind: {}", left.join(", "));
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
