//! From the command line to the exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser};
use iamd_protocol::error::{Exit, Kind};
use iamd_protocol::{paths, variables};

use crate::args::{Cli, Command, Token};
use crate::client::{Client, LIMIT};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{Output, text};
use crate::{clock, commands, complete};

/// What every command is given.
pub(crate) struct Context {
    /// Variables, user, file system.
    pub(crate) environment: Environment,
    /// Where to write.
    pub(crate) output: Output,
    /// How long a call of the daemon may take.
    pub(crate) limit: Duration,
}

impl Context {
    /// Connects to the daemon.
    ///
    /// # Errors
    /// [`Kind::DaemonUnreachable`].
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.client_within(self.limit)
    }

    /// Connects to the daemon for calls that must not take longer than `limit`.
    ///
    /// # Errors
    /// [`Kind::DaemonUnreachable`].
    pub(crate) fn client_within(&self, limit: Duration) -> Result<Client, Failure> {
        Client::connect(self.environment.non_empty(variables::IAMD_BUS_ADDRESS), limit)
    }

    /// The daemon's own socket for tokens, unless another bus than the system's is meant.
    pub(crate) fn token_socket(&self) -> Option<PathBuf> {
        let elsewhere = self.environment.non_empty(variables::IAMD_BUS_ADDRESS).is_some();
        (!elsewhere).then(|| self.environment.path(paths::TOKEN_SOCKET))
    }

    /// Seconds since 1970-01-01 UTC.
    pub(crate) fn now(&self) -> u64 {
        clock::unix_now()
    }
}

/// Runs the program; its exit code.
pub(crate) fn run() -> u8 {
    let environment = Environment::of_this_process();
    if complete::answer(&environment) {
        return Exit::Done as u8;
    }
    let output = Output::of_this_process(&environment);
    let mut context = Context { environment, output, limit: LIMIT };
    let words: Vec<OsString> = std::env::args_os().collect();
    let exit = match commands::Program::called(words.first().map(OsString::as_os_str)) {
        Some(program) => program.run(words.into_iter().skip(1).collect(), &mut context),
        None => match only_token(&words).map_or_else(|| Cli::try_parse_from(&words), Ok) {
            Ok(cli) => command(&cli, &mut context),
            Err(error) => usage(with_tip(error), &mut context.output) as u8,
        },
    };
    finish(context.output, exit)
}

/// `iamctl token` alone. Scripts start it again and again, and to make the definitions of all
/// commands takes longer than all the rest of it. `None` where the words are for the parser of
/// everything: another command, and whatever is told in place of a token, be it help or a mistake.
fn only_token(words: &[OsString]) -> Option<Cli> {
    let words = words.strip_prefix(&[words.first()?.clone(), "token".into()])?;
    let parser = clap::Command::new("token").no_binary_name(true).disable_help_flag(true);
    let found = Token::augment_args(parser).try_get_matches_from(words).ok()?;
    Some(Cli { command: Command::Token(Token::from_arg_matches(&found).ok()?) })
}

fn command(cli: &Cli, context: &mut Context) -> u8 {
    match commands::run(&cli.command, context) {
        Ok(exit) => exit,
        Err(failure) => {
            context.output.failure(&failure, commands::as_json(&cli.command));
            failure.exit as u8
        }
    }
}

/// A command that stands elsewhere in the tree, as `list` below `account`, is named: clap looks for
/// similar words at the same place only.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let similar = error.get(ContextKind::SuggestedSubcommand);
    let has_similar = matches!(similar, Some(ContextValue::Strings(words)) if !words.is_empty())
        || matches!(similar, Some(ContextValue::String(_)));
    let found = elsewhere(&Cli::command(), "", word);
    if has_similar || found.is_empty() {
        return error;
    }
    let tip = StyledStr::from(format!("did you mean:  {}", found.join(",  ")));
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    error
}

/// The commands of that name, or that have it as another name, as one types them.
fn elsewhere(command: &clap::Command, above: &str, word: &str) -> Vec<String> {
    let here = format!("{above}{} ", command.get_name());
    let mut found = Vec::new();
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        if inner.get_name() == word || inner.get_all_aliases().any(|alias| alias == word) {
            found.push(format!("{here}{}", inner.get_name()));
        }
        found.extend(elsewhere(inner, &here, word));
    }
    found
}

/// Help and version are products; anything else is a wrong command line.
fn usage(error: clap::Error, output: &mut Output) -> Exit {
    let stream = if error.use_stderr() { &mut output.err } else { &mut output.out };
    let text = if stream.has_color() {
        error.render().ansi().to_string()
    } else {
        error.render().to_string()
    };
    match text.strip_prefix("error: ") {
        Some(text) => stream.line(format!("iamctl: {text}").trim_end()),
        None => stream.line(text.trim_end()),
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

/// A product that could not be written is a failure, unless the reader went away.
fn finish(output: Output, exit: u8) -> u8 {
    let Output { out, mut err } = output;
    match out.finish() {
        Ok(()) => exit,
        Err(error) => {
            let why = text::without_numbers(&error.to_string());
            let message = format!("iamctl: standard output cannot be written: {why}");
            err.line(&message);
            if exit == Exit::Done as u8 { Kind::Internal.exit() as u8 } else { exit }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_parser_of_one_command_understands_what_the_parser_of_all_does() {
        for line in [
            "iamctl token",
            "iamctl token cms",
            "iamctl token -s storage.read:/ -s x --aud https://se/ -t 10m cms --strict",
            "iamctl token --header -o file",
            "iamctl token --json --force-new",
            "iamctl token -- token",
            "iamctl token --decode --min-valid=90",
        ] {
            let one = only_token(&words(line)).expect(line);
            let all = Cli::try_parse_from(words(line)).expect(line);
            assert_eq!(format!("{one:?}"), format!("{all:?}"), "{line}");
        }
    }

    #[test]
    fn what_is_told_in_place_of_a_token_is_told_by_the_parser_of_all() {
        for line in [
            "iamctl",
            "iamctl status",
            "iamctl token -h",
            "iamctl token --help",
            "iamctl token --version",
            "iamctl token --env --json",
            "iamctl token --no-such-option",
            "iamctl token -t never",
            "iamctl token a b",
            "iamctl --json token",
        ] {
            assert!(only_token(&words(line)).is_none(), "{line}");
        }
    }
}
