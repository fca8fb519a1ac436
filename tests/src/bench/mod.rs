//! The bench: oidc-agent from Debian's packages and iamd on one node, at the same issuers, in one
//! run and in turns, so that a slow minute of the machine is slow for both. `tests/bench` builds
//! everything and runs this.
//!
//! Figures of one machine mean little on another; what is held to are ratios ([`goals`]).

pub mod bus;
pub mod crowd;
pub mod goals;
pub mod plot;
pub mod report;
pub mod rows;
pub mod setting;
pub mod stats;
pub mod stores;
pub mod worker;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::world::World;

use self::report::{Report, Row};
use self::rows::Measured;
use self::setting::Setting;

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Fewer and shorter rounds: to see that it works, not for figures.
    pub quick: bool,
    /// Only these rows.
    pub only: Vec<String>,
    /// Where to write what was measured.
    pub json: Option<PathBuf>,
    /// Where to draw.
    pub plots: Option<PathBuf>,
    /// A goal that is missed is a failure.
    pub check: bool,
}

/// How much is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Rounds of one client.
    pub rounds: usize,
    /// Starts in a block of one client.
    pub runs: usize,
    /// Rounds of many clients.
    pub crowded_rounds: usize,
    /// Starts of each of many clients in a block.
    pub crowded_runs: usize,
    /// Rounds at an issuer that is slow or silent.
    pub slow_rounds: usize,
    /// How many users the memory is measured with.
    pub users: Vec<u32>,
    /// Pairs of logins.
    pub logins: usize,
    /// Calls on the bus in a round.
    pub calls: usize,
    /// Accounts that the daemon starts with.
    pub accounts: u32,
    /// Starts of the daemon.
    pub starts: usize,
}

impl Effort {
    /// That of a run with these options.
    pub fn of(options: &Options) -> Effort {
        let mut effort = match options.quick {
            false => Effort {
                rounds: 15,
                runs: 20,
                crowded_rounds: 6,
                crowded_runs: 8,
                slow_rounds: 3,
                users: vec![1, 50, 500],
                logins: 100,
                calls: 1000,
                accounts: 100_000,
                starts: 7,
            },
            true => Effort {
                rounds: 2,
                runs: 5,
                crowded_rounds: 1,
                crowded_runs: 2,
                slow_rounds: 1,
                users: vec![1, 4],
                logins: 3,
                calls: 100,
                accounts: 1000,
                starts: 2,
            },
        };
        let left_out =
            |row: &str| !options.only.is_empty() && !options.only.iter().any(|o| o == row);
        if left_out("memory") {
            effort.users.clear();
        }
        if left_out("start") {
            effort.accounts = 0;
        }
        effort
    }

    /// Whether a store has to be filled.
    pub fn needs_stores(&self) -> bool {
        self.accounts > 0 || !self.users.is_empty()
    }
}

/// Runs the bench; whether every goal that was measured was kept.
pub fn run(options: &Options, program: &Path) -> Result<bool> {
    let chosen = rows::chosen(&options.only)?;
    let world = World::start(|line| eprintln!("    {line}"))?;
    let setting = Setting::prepare(world, Effort::of(options), program)?;
    let about = setting.about()?;
    let mut report = Report::new(about, options.quick);
    let (rows, failure) = measure(&chosen, |row| (row.measure)(&setting));
    rows.into_iter().for_each(|row| report.add(row));
    report.load_after(&setting.node.root_says("cut -d' ' -f1-3 /proc/loadavg")?);
    drop(setting);
    print!("{report}");
    if let Some(file) = &options.json {
        let text = format!("{:#}\n", report.to_json());
        std::fs::write(file, text).map_err(Error::at(file))?;
    }
    if let Some(directory) = &options.plots {
        plot::draw(&report, directory)?;
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    Ok(!options.check || report.goals().iter().all(|goal| goal.kept))
}

/// All rows, one after the other. One that fails is told, and costs none of the others; the first such
/// failure is that of the run.
fn measure(
    chosen: &[Measured],
    measure: impl Fn(&Measured) -> Result<Row>,
) -> (Vec<Row>, Option<Error>) {
    let (mut rows, mut failure) = (Vec::new(), None);
    for row in chosen {
        eprintln!("    {}: {}", row.id, row.title);
        match measure(row) {
            Ok(row) => rows.push(row),
            Err(error) => {
                eprintln!("    {}: FAILED: {error}", row.id);
                failure.get_or_insert(error);
            }
        }
    }
    (rows, failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_fails_costs_no_other_and_is_the_failure_of_the_run() {
        let (rows, failure) = measure(&rows::ALL, |row| match row.id {
            "login" | "start" => Err(Error::Wrong(format!("no {}", row.id))),
            id => Ok(Row { id, title: String::new(), unit: "ms", series: Vec::new() }),
        });
        assert_eq!(rows.len(), rows::ALL.len() - 2);
        assert!(failure.unwrap().to_string().contains("no login"));
    }

    #[test]
    fn stores_are_filled_only_for_the_rows_that_need_them() {
        let of = |only: &[&str]| {
            let only = only.iter().map(|row| (*row).to_owned()).collect();
            Effort::of(&Options { quick: true, only, ..Options::default() })
        };
        assert!(!of(&["cached", "bus"]).needs_stores());
        assert_eq!((of(&["start"]).accounts, of(&["start"]).users.len()), (1000, 0));
        assert_eq!((of(&["memory"]).accounts, of(&["memory"]).users.len()), (0, 2));
        assert!(of(&[]).needs_stores());
    }
}
