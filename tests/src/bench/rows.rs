//! The rows of the bench: what is measured, each by its name for `--only`.

mod login;
mod memory;
mod slow;
mod start;
mod tokens;

use super::bus;
use super::report::{Row, Series, Who};
use super::setting::{Setting, USER, numbers};
use crate::error::{Error, Result};

/// A row that can be measured.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Its name.
    pub id: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Measures it.
    pub measure: fn(&Setting) -> Result<Row>,
}

/// All of them, in the order in which they are measured.
pub const ALL: [Measured; 12] = [
    row("cached", "a cached token", tokens::cached),
    row("narrowed", "the same narrowed token again", tokens::narrowed),
    row("forced", "a forced refresh, the refresh token stays", tokens::forced),
    row("forced-rotating", "a forced refresh with a new refresh token", tokens::forced_rotating),
    row("clients-8", "a cached token, 8 clients", tokens::eight_clients),
    row("clients-64", "a cached token, 64 clients", tokens::many_clients),
    row("bus", "calls on the system bus", calls),
    row("login", "an SSH login", login::measure),
    row("slow", "four refreshes at an issuer that takes 2 s", slow::four),
    row("hanging", "a cached token while another account's issuer hangs", slow::hanging),
    row("memory", "memory", memory::measure),
    row("start", "the daemon's start, to READY", start::measure),
];

const fn row(
    id: &'static str,
    title: &'static str,
    measure: fn(&Setting) -> Result<Row>,
) -> Measured {
    Measured { id, title, measure }
}

/// Those of these names; of no names, all.
pub fn chosen(names: &[String]) -> Result<Vec<Measured>> {
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|row| row.id == **name)) {
        let known = ALL.map(|row| row.id).join(", ");
        return Err(Error::Wrong(format!("no row {unknown}; there are: {known}")));
    }
    let is_chosen = |row: &&Measured| names.is_empty() || names.iter().any(|name| name == row.id);
    Ok(ALL.iter().filter(is_chosen).copied().collect())
}

/// An empty method and `GetToken`, on one connection.
fn calls(setting: &Setting) -> Result<Row> {
    let effort = &setting.effort;
    let before = setting.requests()?;
    let done = setting.block(USER, &bus::plan(effort.rounds, effort.calls))?;
    let requests = setting.requests()? - before;
    let series = |who, what: &str, name: &str| -> Result<Series> {
        let mut series = Series::new(who, what);
        numbers(&done[name])?.into_iter().for_each(|round| series.rounds.add(vec![round]));
        series.done = effort.rounds * effort.calls;
        Ok(series)
    };
    let empty = series(Who::Floor, "Peer.Ping of org.iamd1", "empty")?;
    let mut tokens = series(Who::Ours, "GetToken of org.iamd1", "token")?;
    tokens.requests = Some(requests);
    let title = "calls on the system bus, one after the other".into();
    Ok(Row { id: "bus", title, unit: "calls/s", series: vec![empty, tokens] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name_and_a_wrong_name_is_told() {
        let names = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
            chosen(&list).map(|rows| rows.iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), ALL.len());
        assert_eq!(names(&["start", "cached"]).unwrap(), ["cached", "start"]);
        assert!(names(&["cashed"]).unwrap_err().to_string().contains("clients-64"));
    }
}
