//! The command lines of the originals, which argp reads: long options may be cut short, a value that
//! may be left out stands in the same word, and there are options that have no use here.

use std::ffi::OsString;

use clap::builder::OsStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Parser};
use iamd_protocol::error::Kind;

use super::{DONE, Ended, Program, USAGE};
use crate::app::Context;
use crate::failure::Failure;

/// An option that nothing is done for here.
pub(super) struct Other {
    pub(super) short: Option<char>,
    pub(super) names: &'static [&'static str],
    pub(super) takes: Takes,
    pub(super) then: Then,
}

/// Whether an option has a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// In the same word, or not at all.
    Maybe,
    Value,
}

/// What comes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing is lost.
    Ignored,
    /// It goes on, and this is said.
    Told(&'static str),
    /// It ends, for this reason.
    Refused(&'static str),
}

/// An option without a short name.
pub(super) const fn other(names: &'static [&'static str], takes: Takes, then: Then) -> Other {
    Other { short: None, names, takes, then }
}

/// An option with one.
pub(super) const fn short(
    short: char,
    names: &'static [&'static str],
    takes: Takes,
    then: Then,
) -> Other {
    Other { short: Some(short), names, takes, then }
}

/// Nothing that a program prints besides is printed by us.
pub(super) const TALK: &[Other] = &[
    short('g', &["debug"], Takes::Nothing, Then::Ignored),
    other(&["seccomp"], Takes::Nothing, Then::Ignored),
];

/// Reads a command line.
///
/// # Errors
/// It is help that is wanted, or not to be understood, or an option is refused.
pub(super) fn parse<T: Parser>(
    program: Program,
    words: Vec<OsString>,
    others: &[&[Other]],
    context: &mut Context,
) -> Result<T, Ended> {
    let others = || others.iter().copied().flatten();
    let mut command = T::command()
        .name(program.name())
        .bin_name(program.name())
        .version(concat!("(iamd) ", env!("CARGO_PKG_VERSION")))
        .infer_long_args(true)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .arg(
            Arg::new("help")
                .short('?')
                .short_alias('h')
                .long("help")
                .action(ArgAction::Help)
                .help("Print help"),
        )
        .arg(Arg::new("usage").long("usage").action(ArgAction::HelpShort).help("Print help"))
        .after_help("iamctl by this name: it does what oidc-agent's program did. See iamctl(1).");
    for other in others() {
        command = command.arg(argument(other));
    }
    let words = std::iter::once(OsString::from(program.name())).chain(words);
    let matches =
        command.try_get_matches_from(words).map_err(|error| told(&error, program, context))?;
    for other in others().filter(|other| is_given(other, &matches)) {
        let name = format!("--{}", other.names[0]);
        match other.then {
            Then::Ignored => {}
            Then::Told(what) => context.output.tell(&format!("{}: {name}: {what}", program.name())),
            Then::Refused(why) => return Err(refused(&name, why).into()),
        }
    }
    T::from_arg_matches(&matches).map_err(|error| told(&error, program, context))
}

/// What a script would rely on does not happen.
pub(super) fn refused(what: &str, why: &str) -> Failure {
    Failure::new(Kind::InvalidArgument, format!("{what}: {why}"))
}

fn argument(other: &Other) -> Arg {
    let name = other.names[0];
    let mut arg = Arg::new(name).long(name).aliases(other.names[1..].iter().copied()).hide(true);
    if let Some(short) = other.short {
        arg = arg.short(short);
    }
    match other.takes {
        Takes::Nothing => arg.action(ArgAction::Count),
        Takes::Maybe => arg
            .num_args(0..=1)
            .require_equals(true)
            .action(ArgAction::Append)
            .value_parser(OsStringValueParser::new()),
        Takes::Value => arg.action(ArgAction::Append).value_parser(OsStringValueParser::new()),
    }
}

fn is_given(other: &Other, matches: &ArgMatches) -> bool {
    matches.value_source(other.names[0]) == Some(clap::parser::ValueSource::CommandLine)
}

fn told(error: &clap::Error, program: Program, context: &mut Context) -> Ended {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            context.output.line(text.trim_end());
            Ended::Told(DONE)
        }
        _ => {
            let text = text.trim_start_matches("error: ").trim_end();
            context.output.err.line(&format!("{}: {text}", program.name()));
            Ended::Told(USAGE)
        }
    }
}

/// Short options whose value may be left out, such as `-oVAR`, as the long ones that they are:
/// clap takes the value from the next word. `with_value` are those whose value is never left out.
pub(super) fn lengthened(
    words: Vec<OsString>,
    optional: &[(char, &str)],
    with_value: &[char],
) -> Vec<OsString> {
    let mut long = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            long.push(word);
            break;
        }
        let cluster = word.to_str().and_then(|text| text.strip_prefix('-'));
        match cluster.filter(|cluster| !cluster.is_empty() && !cluster.starts_with('-')) {
            Some(cluster) => {
                let waits = lengthen(cluster, optional, with_value, &mut long);
                // Its value may look like an option.
                long.extend(waits.then(|| words.next()).flatten());
            }
            None => long.push(word),
        }
    }
    long.extend(words);
    long
}

/// Takes a cluster of short options apart; whether the last one's value is the next word.
fn lengthen(
    cluster: &str,
    optional: &[(char, &str)],
    with_value: &[char],
    long: &mut Vec<OsString>,
) -> bool {
    for (at, option) in cluster.char_indices() {
        let rest = &cluster[at + option.len_utf8()..];
        if let Some((_, name)) = optional.iter().find(|(known, _)| *known == option) {
            let value = if rest.is_empty() { String::new() } else { format!("={rest}") };
            long.push(format!("--{name}{value}").into());
            return false;
        }
        if with_value.contains(&option) {
            long.push(format!("-{option}{rest}").into());
            return rest.is_empty();
        }
        long.push(format!("-{option}").into());
    }
    false
}
