//! Two answers to one question for one user, of which neither goes before the other. Nothing is
//! merged and nobody wins: both places are named, and the configuration is not used.

use std::collections::BTreeMap;

use super::{Clause, Key, Value};
use crate::config::Problem;

/// Every clause that contradicts an earlier one, each with the first that it contradicts.
pub(super) fn find(clauses: &[Clause]) -> Vec<Problem> {
    let mut of_rank: BTreeMap<(Key, (u8, u32)), Vec<&Clause>> = BTreeMap::new();
    for clause in clauses {
        of_rank.entry((clause.key, clause.rank())).or_default().push(clause);
    }
    let mut problems = Vec::new();
    for equals in of_rank.values() {
        for (index, clause) in equals.iter().enumerate() {
            let other = equals[..index].iter().find_map(|other| {
                let whom = other.subject.both(&clause.subject)?;
                (!agree(&other.value, &clause.value)).then_some((other, whom))
            });
            if let Some((other, whom)) = other {
                problems.push(contradiction(clause, other, &whom));
            }
        }
    }
    // A line that is for several circles contradicts once.
    problems.dedup_by(|a, b| (&a.file, a.line, &a.key) == (&b.file, b.line, &b.key));
    problems
}

fn contradiction(clause: &Clause, other: &Clause, whom: &str) -> Problem {
    Problem {
        file: clause.place.file.to_string(),
        line: Some(clause.place.line),
        key: Some(format!("rule.{}", clause.key.name())),
        text: format!(
            "contradicts {} for {whom}; give one of the two rules a higher priority, or both the same answer",
            other.place
        ),
    }
}

/// Whether the order of the two makes no difference.
fn agree(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Names { adds: true, .. }, Value::Names { adds: true, .. }) => true,
        (Value::Names { adds: false, items: all }, Value::Names { adds: true, items: more })
        | (Value::Names { adds: true, items: more }, Value::Names { adds: false, items: all }) => {
            more.is_subset(all)
        }
        (one, two) => one == two,
    }
}
