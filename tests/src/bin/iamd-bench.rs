//! The bench. `tests/bench` builds everything and runs this; the node runs it too, as `worker`.

use std::process::ExitCode;

use iamd_tests::bench::{self, Options, rows, worker};

const HELP: &str = "\
Usage: tests/bench [--quick] [--only ROW]... [--json FILE] [--plots DIRECTORY] [--check]

Measures oidc-agent (from Debian's packages) and iamd on one login node that it boots, at the same
issuers, in turns, and prints a table: median, 99th percentile, the lowest and highest median of a
round, what is above the time that starting a program takes, and the requests that the issuers saw.
Leaves nothing running.

  --quick            a short run: shows that it works, its figures say little
  --only ROW         only this row; may be given several times
  --json FILE        write what was measured as JSON
  --plots DIRECTORY  draw the plots (SVG)
  --check            end with 1 when a goal is missed that was measured
  --list             the rows, and end
  --help             this text

Needs root on a machine (or virtual machine) that may make namespaces and mounts.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["worker"] {
        return ended(worker::main().map(|()| true));
    }
    let options = match options(words) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("iamd-bench: {wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("iamd-bench: where is this program? {error}");
            return ExitCode::FAILURE;
        }
    };
    ended(bench::run(&options, &program))
}

fn ended(result: iamd_tests::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("iamd-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is asked for; `None` when it was only asked what there is.
fn options(words: Vec<String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => options.quick = true,
            "--check" => options.check = true,
            "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
            "--json" => options.json = Some(value()?.into()),
            "--plots" => options.plots = Some(value()?.into()),
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(None);
            }
            "--list" => {
                rows::ALL.iter().for_each(|row| println!("{:<16} {}", row.id, row.title));
                return Ok(None);
            }
            other => return Err(format!("unknown argument: {other}")),
        }
    }
    rows::chosen(&options.only).map_err(|error| error.to_string())?;
    Ok(Some(options))
}
