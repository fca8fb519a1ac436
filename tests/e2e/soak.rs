//! The long form of what is tested in every run: `tests/soak`. Part after part, each for its share
//! of the time, and a table of what was survived. It ends with the first thing that is lost.
//!
//! To add a part: a function that goes on for a time and answers rows, and its line in [`PARTS`].

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use iamd_tests::{World, clock};
use libtest_mimic::Failed;

use crate::crash;

/// What was survived, and how often.
pub struct Row {
    what: &'static str,
    count: String,
}

impl Row {
    pub fn new(what: &'static str, count: impl Display) -> Row {
        Row { what, count: count.to_string() }
    }
}

/// Goes on for so long, and answers what was survived.
type Part = fn(&World, Duration) -> Result<Vec<Row>, Failed>;

/// Each part, with its share of the time.
const PARTS: [(&str, u32, Part); 1] = [("killed at random moments", 1, crash::soak)];

/// For how many hours, where this is a soak and no run of tests.
pub fn hours() -> Option<f64> {
    std::env::var("IAMD_SOAK_HOURS").ok()?.parse().ok()
}

/// All parts for so many hours.
pub fn run(world: &World, hours: f64) -> ExitCode {
    let only = std::env::var("IAMD_SOAK_ONLY").unwrap_or_default();
    let parts: Vec<_> = PARTS.iter().filter(|(name, ..)| name.contains(&only)).collect();
    let shares: u32 = parts.iter().map(|(_, share, _)| share).sum();
    let (whole, start) = (Duration::from_secs_f64(hours * 3600.0), clock::now());
    let mut table = String::new();
    let mut lost = parts.is_empty();
    for (name, share, part) in parts {
        let begun = clock::now();
        eprintln!("soak: {name}");
        let time = whole * *share / shares;
        let outcome = catch_unwind(AssertUnwindSafe(|| part(world, time)));
        table += &format!("{name} ({:.0} s)\n", begun.elapsed().as_secs_f64());
        match outcome {
            Ok(Ok(rows)) => {
                table.extend(rows.iter().map(|row| format!("  {:>10}  {}\n", row.count, row.what)));
            }
            Ok(Err(failed)) => {
                table += &format!("  LOST: {}\n", failed.message().unwrap_or("it does not say"));
                lost = true;
            }
            Err(_) => {
                table += "  LOST: the panic above says what\n";
                lost = true;
            }
        }
        if lost {
            break;
        }
    }
    println!("\n{table}{:.1} hours", start.elapsed().as_secs_f64() / 3600.0);
    if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
