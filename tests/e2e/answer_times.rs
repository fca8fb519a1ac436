//! How long an answer takes does not tell a user whether another has an account or a login of a
//! name: names that another user has are compared with names that nobody has, method by method.
//!
//! The calls are interleaved on one connection, each name once in a round in an order of chance, and
//! compared by their ranks ([`ranks`]): the name that another has, and two that nobody has, whose
//! difference from each other is the control.
//!
//! Tried by hand, on a machine with other work: a sleep of 200 µs for names that another user has
//! puts each method 11 to 24 standard deviations apart, one more look into the store (50 µs) 8 to
//! 22; and a login that is begun, in which the issuer takes 20 times as long, 11 and 5 with all
//! rounds together. What there is stays within 3.

use std::sync::PoisonError;

use iamd_tests::{Error, Node, World, ranks};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::own;
use crate::people::{bus, put_bus_client, sign_in_as, start_login};

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: whether_another_user_has_an_account_or_a_login_cannot_be_told_from_the_time_an_answer_takes,
    ]
}

/// Calls of each name.
const ROUNDS: usize = 300;
/// As many where the issuer is asked in each.
const FEWER: usize = 150;
/// So many standard deviations are no chance: of equal names, one comparison in 150,000 is as far.
const FAR: f64 = 4.5;
/// Names: what alice has under the first, nobody has under the others, which are as long. Each bob
/// asks for once only, as what became of his logins is remembered.
const NAMES: [(Has, [&str; 3]); 4] = [
    (Has::Account, ["thesis", "nobody", "noones"]),
    (Has::Login, ["waited", "lonely", "unused"]),
    (Has::Account, ["script", "vacant", "unborn"]),
    (Has::Login, ["paused", "hollow", "untold"]),
];

enum Has {
    Account,
    Login,
}

/// Every method that takes a name, as words of the D-Bus client, but for two that do something where
/// there is nothing of that name ([`LOGIN`], [`ADD`]); `@` is the name.
const ASKING: [&str; 14] = [
    "org.iamd1.Tokens GetToken 'sa{sv}' @",
    "org.iamd1.Accounts Show s @",
    "org.iamd1.Accounts LoginState su @ 0",
    "org.iamd1.Accounts CancelLogin s @",
    "org.iamd1.Accounts Logout s @",
    "org.iamd1.Accounts Edit 'sa{sv}' @",
    "org.iamd1.Accounts Rename ss @ another",
    "org.iamd1.Accounts SetDefault s @",
    "org.iamd1.Accounts Remove 'sa{sv}' @",
    "org.iamd1.Accounts Secrets s @",
    "org.iamd1.Accounts Lock s @",
    "org.iamd1.Accounts Unlock 'sa{sv}h' @ 12345678",
    "org.iamd1.Accounts SetPassphrase 'sa{sh}' @ new_passphrase=12345678",
    "org.iamd1.Accounts LoginWithPassword 'sa{sv}a{sh}' @ -",
];
const LOGIN: &str = "org.iamd1.Accounts Login 'sa{sv}' @";
const ADD: &str = "org.iamd1.Accounts Add 'sa{sv}a{sh}' @ -";

fn whether_another_user_has_an_account_or_a_login_cannot_be_told_from_the_time_an_answer_takes(
    world: &World,
) -> Outcome {
    let (node, issuer) = own(world, "times", &[], "[limits]\nlogins = 3\nlogin_starts = 100000\n")?;
    put_bus_client(&node)?;
    for (has, [name, ..]) in NAMES {
        match has {
            Has::Account => sign_in_as(&node, &issuer, "alice", name, "test")?,
            Has::Login => start_login(&node, "alice", name, "test").map(|_| ())?,
        }
    }
    let _alone = world.turn().write().unwrap_or_else(PoisonError::into_inner);
    let mut begun = 0.0;
    for (at, (_, names)) in NAMES.into_iter().enumerate() {
        if at == NAMES.len() / 2 {
            // From here with an account of bob's own, as the answers then come another way.
            sign_in_as(&node, &issuer, "bob", "mine", "test")?;
        }
        for method in ASKING {
            alike(world, &node, names, method, "-", ROUNDS, "error org.iamd1.Error.")?;
        }
        alike(world, &node, names, ADD, "'Remove:sa{sv}'", FEWER, "ok")?;
        // A login that is begun, and one that is joined.
        begun += alike(world, &node, names, LOGIN, "CancelLogin", FEWER, "ok pending")?;
        for name in names {
            start_login(&node, "bob", name, "test")?;
        }
        alike(world, &node, names, LOGIN, "-", ROUNDS, "ok pending")?;
        for name in names {
            bus(&node, "bob", &format!("call org.iamd1.Accounts CancelLogin s {name}"))?;
        }
    }
    let begun = begun / (NAMES.len() as f64).sqrt();
    assert!(begun.abs() <= FAR, "all logins that were begun: {begun:+.1} sd apart");
    Ok(())
}

/// Insists that bob has the same answer to a method for each of the names, in the same time. The
/// first name is another user's; tells how far apart its times are.
fn alike(
    world: &World,
    node: &Node,
    names: [&str; 3],
    method: &str,
    undo: &str,
    rounds: usize,
    answer: &str,
) -> Result<f64, Error> {
    let said = bus(node, "bob", &format!("compare {rounds} {undo} {} {method}", names.join(",")))?;
    let of = |kind: &str, name: &str| -> Vec<String> {
        let begin = format!("{kind} {name} ");
        said.lines().filter_map(|line| line.strip_prefix(&begin)).map(str::to_owned).collect()
    };
    let answers = names.map(|name| of("answer", name));
    if answers[0].len() != 1 || !answers[0][0].starts_with(answer) {
        return Err(Error::Wrong(format!("{method}: not one {answer:?}: {answers:?}")));
    }
    if answers[1..] != [answers[0].clone(), answers[0].clone()] {
        return Err(Error::Wrong(format!("{method}: not the same answer: {answers:?}")));
    }
    let times = names.map(|name| {
        let times = of("times", name).concat();
        times.split(' ').filter_map(|time| time.parse().ok()).collect::<Vec<u64>>()
    });
    if times.iter().any(|times| times.len() != rounds) {
        return Err(Error::Wrong(format!("{method}: not {rounds} times: {said}")));
    }
    let medians = times.each_ref().map(|times| ranks::median(times) / 1000);
    let (theirs, control) = (ranks::distance(&times, 0), ranks::distance(&times[1..], 0));
    let begun = if undo == "-" { "" } else { ", begun" };
    let line = format!(
        "{} {}{begun}: {} µs, of nobody {} and {} µs; {theirs:+.1} sd apart, control {control:+.1}",
        method.split(' ').nth(1).unwrap_or_default(),
        names[0],
        medians[0],
        medians[1],
        medians[2],
    );
    world.say(&line);
    if theirs.abs() <= FAR && control.abs() <= FAR { Ok(theirs) } else { Err(Error::Wrong(line)) }
}
