//! What was measured, as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::goals::{Goal, goals};
use super::stats::{Rounds, rounded};

/// Of whom a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// What the machine takes without either.
    Floor,
    /// oidc-agent.
    Theirs,
    /// iamd.
    Ours,
}

/// One thing that was measured again and again.
#[derive(Clone, Debug)]
pub struct Series {
    /// Of whom.
    pub who: Who,
    /// What was done.
    pub what: String,
    /// The measures.
    pub rounds: Rounds,
    /// Requests at the issuers meanwhile, where they were counted.
    pub requests: Option<u64>,
    /// How many things were done meanwhile: requests are of so many.
    pub done: usize,
}

impl Series {
    /// One without measures.
    pub fn new(who: Who, what: impl Into<String>) -> Series {
        let (what, rounds) = (what.into(), Rounds::default());
        Series { who, what, rounds, requests: None, done: 0 }
    }
}

/// What belongs together.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name for `--only`.
    pub id: &'static str,
    /// What it is.
    pub title: String,
    /// What the measures are in.
    pub unit: &'static str,
    /// What was measured.
    pub series: Vec<Series>,
}

impl Row {
    /// The first series of somebody.
    pub fn of(&self, who: Who) -> Option<&Series> {
        self.series.iter().find(|series| series.who == who)
    }

    /// The last series of somebody.
    pub fn last_of(&self, who: Who) -> Option<&Series> {
        self.series.iter().rev().find(|series| series.who == who)
    }

    /// The median of what takes time without either; 0 where there is none.
    pub fn floor(&self) -> f64 {
        self.of(Who::Floor).map_or(0.0, |floor| floor.rounds.median())
    }
}

/// All that was measured in a run.
#[derive(Clone, Debug)]
pub struct Report {
    about: Value,
    rows: Vec<Row>,
}

impl Report {
    /// One without rows.
    pub fn new(mut about: Value, quick: bool) -> Report {
        about["quick"] = quick.into();
        Report { about, rows: Vec::new() }
    }

    /// One more row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The machine's load at the end.
    pub fn load_after(&mut self, load: &str) {
        self.about["load_after"] = load.into();
    }

    /// The row of this name, if it was measured.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The goals of the rows that were measured.
    pub fn goals(&self) -> Vec<Goal> {
        goals(self)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let series = |row: &Row, series: &Series| {
            let mut told = series.rounds.to_json();
            told["who"] = match series.who {
                Who::Floor => "floor",
                Who::Theirs => "oidc-agent",
                Who::Ours => "iamd",
            }
            .into();
            told["what"] = series.what.as_str().into();
            told["requests"] = series.requests.into();
            told["done"] = series.done.into();
            if row.of(Who::Floor).is_some() && series.who != Who::Floor {
                told["above_floor"] = rounded(series.rounds.median() - row.floor()).into();
            }
            told
        };
        let rows = self.rows.iter().map(|row| {
            let series: Vec<_> = row.series.iter().map(|one| series(row, one)).collect();
            json!({"id": row.id, "title": row.title, "unit": row.unit, "series": series})
        });
        let goals = self.goals().into_iter().map(|goal| {
            json!({"row": goal.row, "goal": goal.text, "value": rounded(goal.value), "kept": goal.kept})
        });
        json!({
            "about": self.about,
            "rows": rows.collect::<Vec<_>>(),
            "goals": goals.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            writeln!(f, "\n{} ({})", row.title, row.unit)?;
            let head = ["median", "p99", "medians of rounds", "above floor", "requests"];
            let [median, p99, spread, above, requests] = head;
            writeln!(
                f,
                "  {:<34} {median:>9} {p99:>9} {spread:>19} {above:>12} {requests:>12}",
                ""
            )?;
            for series in &row.series {
                let (low, high) = series.rounds.spread();
                let has_floor = row.of(Who::Floor).is_some() && series.who != Who::Floor;
                let above = match has_floor {
                    true => figure(series.rounds.median() - row.floor()),
                    false => String::new(),
                };
                let requests =
                    series.requests.map(|requests| format!("{requests} of {}", series.done));
                writeln!(
                    f,
                    "  {:<34} {:>9} {:>9} {:>19} {above:>12} {:>12}",
                    series.what,
                    figure(series.rounds.median()),
                    figure(series.rounds.p99()),
                    format!("{} - {}", figure(low), figure(high)),
                    requests.unwrap_or_default()
                )?;
            }
        }
        writeln!(f)?;
        for goal in self.goals() {
            let word = if goal.kept { "kept  " } else { "MISSED" };
            writeln!(f, "{word}  {}: {}", goal.text, figure(goal.value))?;
        }
        Ok(())
    }
}

/// Three digits that mean something.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}
