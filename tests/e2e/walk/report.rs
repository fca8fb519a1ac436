//! What the walk prints: the page's rows in their order, with what was typed on both sides and what
//! it did.

use std::fmt::{self, Display, Formatter};

use super::not_run::NOT_RUN;
use super::perform::{Did, Walked};
use super::steps::{Act, Outcome, SCRIPT, Step};
use super::table::{MARKS, Row};

/// Longer lines are cut.
const WIDTH: usize = 200;

/// The rows, and what came of those that were walked.
pub(super) struct Report {
    rows: Vec<Row>,
    walked: Vec<(&'static Step, Walked)>,
}

impl Report {
    pub(super) fn new(rows: Vec<Row>) -> Report {
        Report { rows, walked: Vec::new() }
    }

    pub(super) fn add(&mut self, step: &'static Step, walked: Walked) {
        self.walked.push((step, walked));
    }

    /// What went wrong, a line each.
    pub(super) fn failures(&self) -> Vec<String> {
        let problem = |(step, walked): &(&Step, Walked)| {
            let problem = walked.problem(step)?;
            Some(format!("{} / {}, {problem}", step.section, step.row))
        };
        self.walked.iter().filter_map(problem).collect()
    }

    /// How many rows of which kind.
    pub(super) fn summary(&self) -> String {
        let count = |kind: &str| self.walked.iter().filter(|(step, _)| step.kind() == kind).count();
        format!(
            "{} rows: {} with the same outcome on both sides, {} meant to differ, {} done by iamctl \
             alone, {} that need nothing here, {} not run, each with a reason",
            self.rows.len(),
            count("the same"),
            count("differs"),
            count("iamctl alone"),
            count("not needed"),
            self.rows.len() - self.walked.len()
        )
    }

    fn row(&self, f: &mut Formatter<'_>, row: &Row) -> fmt::Result {
        let theirs = row.theirs.replace('`', "");
        let Some((step, walked)) = self.walked.iter().find(|(step, _)| step.is_of(row)) else {
            let why = NOT_RUN.iter().find(|not_run| not_run.is_of(row)).map_or("", |one| one.why);
            writeln!(f, "{theirs}    [not run: {}]", plain(why))?;
            return writeln!(f, "    iamctl      {}\n", plain(&row.reason));
        };
        let verdict = match (walked.problem(step), step.outcome) {
            (Some(problem), _) => format!("FAILED, {problem}"),
            (None, Outcome::Differs(why)) => format!("differs: {why}"),
            (None, Outcome::Same) => step.kind().to_owned(),
        };
        writeln!(f, "{theirs}    [{}]", cut(&one_line(&verdict)))?;
        let original = if row.section == SCRIPT { "the script" } else { "oidc-agent" };
        side(f, original, &step.theirs, &walked.theirs)?;
        match &step.ours {
            Act::Nothing => writeln!(f, "    iamctl      {}", plain(&row.reason))?,
            act => side(f, "iamctl", act, &walked.ours)?,
        }
        writeln!(f)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "From oidc-agent to iamctl, walked on a login node.\n{}", self.summary())?;
        let mut section = "";
        for row in &self.rows {
            if row.section != section {
                section = &row.section;
                writeln!(f, "\n==== {section}\n")?;
            }
            self.row(f, row)?;
        }
        Ok(())
    }
}

fn side(
    f: &mut Formatter<'_>,
    whose: &str,
    act: &Act,
    did: &iamd_tests::Result<Option<Did>>,
) -> fmt::Result {
    if let Act::Left(why) = act {
        let why = MARKS.iter().find(|(mark, _)| mark == why).map_or(*why, |(_, why)| why);
        return writeln!(f, "    {whose:<10}  not run: {why}");
    }
    let Some(script) = act.script() else { return Ok(()) };
    let mut mark = "$";
    let mut label = whose;
    for line in script.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        writeln!(f, "    {label:<10}  {mark} {}", words.join(" "))?;
        (label, mark) = ("", " ");
    }
    let done = match did {
        Err(error) => one_line(&error.to_string()),
        Ok(None) => String::new(),
        Ok(Some(did)) => {
            let exit = if did.code == 0 { String::new() } else { format!("exit {}, ", did.code) };
            format!("=> {exit}{:.1} s:  {}", did.took.as_secs_f64(), did.essence())
        }
    };
    writeln!(f, "    {:<10}  {}", "", cut(&done))
}

impl Did {
    /// What it printed, and the last of what it said where that matters.
    fn essence(&self) -> String {
        let printed = one_line(&self.stdout);
        if self.code == 0 && !printed.is_empty() {
            return printed;
        }
        let said = one_line(&self.stderr);
        let said: Vec<_> = said.split(" | ").collect();
        let last = said[said.len().saturating_sub(2)..].join(" | ");
        if printed.is_empty() { last } else { format!("{printed} | {last}") }
    }
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" | ")
}

fn plain(reason: &str) -> String {
    cut(&reason.replace('`', ""))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH).chain(" …".chars()).collect()
}
