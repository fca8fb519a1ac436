//! The part of the bench that runs on the node, as the user: a block of measures, so that nothing of
//! the way onto the node is in a figure. It is the bench's own program under the word `worker`, is
//! told what to do by a line of JSON on standard input, and answers with one on standard output.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{bus, crowd};
use crate::clock;
use crate::command;
use crate::error::{Error, Result};

/// Where the node has this program.
pub const AT: &str = "/usr/local/bin/iamd-bench";
/// No program that is measured takes longer; one that does fails the bench.
const LIMIT: Duration = Duration::from_secs(60);

/// What is done on the node.
pub fn main() -> Result<()> {
    let mut plan = String::new();
    std::io::stdin().read_line(&mut plan).map_err(Error::io("the plan"))?;
    let plan: Value =
        serde_json::from_str(&plan).map_err(|error| Error::Wrong(format!("plan: {error}")))?;
    let done = match plan["what"].as_str() {
        Some("programs") => programs(&plan)?,
        Some("bus") => bus::measure(&plan)?,
        Some("crowd") => return crowd::stand(),
        other => return Err(Error::Wrong(format!("nothing to do: {other:?}"))),
    };
    println!("{done}");
    Ok(())
}

/// The plan of a block: `clients` at a time start a program, `runs` times each; the first client
/// the first of `commands`, and so on round.
pub fn plan(commands: &[Vec<String>], clients: usize, runs: usize) -> Value {
    json!({"what": "programs", "commands": commands, "clients": clients, "runs": runs})
}

/// Starts programs again and again, by so many clients at a time; each has to end with 0. The time
/// of each is from before its start until its end was seen and its output read.
fn programs(plan: &Value) -> Result<Value> {
    let commands: Vec<Vec<&str>> = plan["commands"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|words| words.as_array().into_iter().flatten().filter_map(Value::as_str).collect())
        .collect();
    if commands.is_empty() {
        return Err(Error::Wrong("no commands".into()));
    }
    let number = |name: &str| plan[name].as_u64().unwrap_or(1) as usize;
    let (clients, runs) = (number("clients"), number("runs"));
    let client = |words: &[&str]| -> Result<Vec<f64>> {
        (0..runs).map(|_| Ok(once(command_of(words)?)?.as_secs_f64() * 1000.0)).collect()
    };
    let begin = clock::now();
    let times: Result<Vec<Vec<f64>>> = std::thread::scope(|scope| {
        let starts = (0..clients).map(|at| {
            let words = &commands[at % commands.len()];
            scope.spawn(|| client(words))
        });
        let threads: Vec<_> = starts.collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|end| end.unwrap_or_else(|_| Err(Error::Wrong("a panic".into())))).collect()
    });
    let seconds = begin.elapsed().as_secs_f64();
    Ok(json!({"ms": times?.concat(), "seconds": seconds}))
}

fn command_of(words: &[&str]) -> Result<Command> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Error::Wrong("no words".into()))?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Runs a program to its end.
pub fn once(mut command: Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut said = Vec::with_capacity(4096);
    let start = clock::now();
    let mut child = command.spawn().map_err(Error::io(command::describe(&command)))?;
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said).map_err(Error::io("its output"))?;
    }
    let status = child.wait().map_err(Error::io("wait"))?;
    let took = start.elapsed();
    if !status.success() || took > LIMIT {
        let mut errors = String::new();
        if let Some(mut stream) = child.stderr.take() {
            let _ = stream.read_to_string(&mut errors);
        }
        let output = command::tail(&format!("after {took:.1?}: {errors}"));
        let (command, code) = (command::describe(&command), command::code(status));
        return Err(Error::Failed { command, code, output });
    }
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn each_run_of_each_client_is_measured() {
        let done = programs(&plan(&[sh("echo token"), sh("sleep 0.2")], 2, 3)).unwrap();
        let times: Vec<f64> =
            done["ms"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert_eq!(times.len(), 6);
        assert!(times.iter().all(|time| *time > 0.0));
        assert_eq!(times.iter().filter(|time| **time >= 200.0).count(), 3, "{times:?}");
        assert!(done["seconds"].as_f64().unwrap() >= 0.6);
    }

    #[test]
    fn a_program_that_fails_is_no_measure() {
        let error = programs(&plan(&[sh("echo no token >&2; exit 3")], 2, 1)).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("no token") && error.contains("ended with 3"), "{error}");
        assert!(programs(&plan(&[], 1, 1)).is_err());
    }
}
