//! The demo: a login node boots, alice logs in, signs in once, and has her token. `dist/demo`
//! builds everything and runs this.

use std::io::IsTerminal;
use std::process::ExitCode;

use iamd_tests::demo;

const HELP: &str = "\
Usage: dist/demo [--auto]

Boots a throw-away login node with iamd on it, starts a test issuer, logs in as alice over SSH,
approves her sign-in, and shows the token she then has. Ends with 0 only if all of that happened,
and leaves nothing running.

  --auto   approve without a person, as without a terminal
  --help   this text

Needs root on a machine (or virtual machine) that may make namespaces and mounts.";

fn main() -> ExitCode {
    let mut auto = !std::io::stdin().is_terminal();
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--auto" => auto = true,
            "--help" | "-h" => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("iamd-demo: unknown argument {other}\n\n{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    match demo::run(auto) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\niamd-demo: {error}");
            ExitCode::FAILURE
        }
    }
}
