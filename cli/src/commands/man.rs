//! `iamctl generate-man`: the manual pages, from the same definitions as the parser and the help.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use iamd_protocol::error::{Exit, Kind};

use crate::app::Context;
use crate::args::{ABOUT, Cli, GenerateMan};
use crate::failure::Failure;

/// Writes the pages.
///
/// # Errors
/// [`Kind::Internal`] when a file cannot be written.
pub(super) fn run(args: &GenerateMan, _: &mut Context) -> Result<Exit, Failure> {
    for (name, page) in pages() {
        let file = args.directory.join(&name);
        write(&file, &page).map_err(|error| {
            Failure::new(Kind::Internal, format!("{}: {error}", file.display())).advise("")
        })?;
    }
    Ok(Exit::Done)
}

fn write(file: &Path, page: &[u8]) -> std::io::Result<()> {
    fs::write(file, page)
}

/// File name and text of every page.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    pages
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) {
    let man = manual(command);
    pages.push((man.get_filename(), page(command)));
    for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        collect(subcommand, pages);
    }
}

fn manual(command: &Command) -> Man {
    // The text below a command's help is its description. The first page has a listing there.
    let below = command.get_after_help().or_else(|| command.get_about());
    let description = match below {
        Some(text) if command.get_name() != "iamctl" => text.to_string(),
        _ => ABOUT.to_owned(),
    };
    Man::new(command.clone().long_about(description))
        .manual("iamd")
        .source(format!("iamd {}", env!("CARGO_PKG_VERSION")))
}

/// The page of one command.
fn page(command: &Command) -> Vec<u8> {
    let man = manual(command);
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = man.render_title(&mut page);
    let _ = man.render_name_section(&mut page);
    let _ = man.render_synopsis_section(&mut page);
    let mut examples = Roff::new();
    if let Some(text) = command.get_before_help() {
        examples.control("SH", ["EXAMPLES"]);
        let text = text.to_string();
        let lines: Vec<&str> =
            text.trim_start_matches("Examples:\n").lines().map(str::trim_start).collect();
        literal(&mut examples, &lines);
    }
    let _ = examples.to_writer(&mut page);
    let _ = man.render_description_section(&mut page);
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        let _ = man.render_options_section(&mut page);
    }
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        let _ = man.render_subcommands_section(&mut page);
    }
    let mut rest = Roff::new();
    // Pages of single commands have the exit codes; the rest is in iamctl(1).
    let sections = if command.get_name() == "iamctl" { SECTIONS } else { &SECTIONS[..1] };
    for (heading, entries) in sections {
        rest.control("SH", [*heading]);
        // What it runs has an exit status of its own.
        let of_command = match (command.get_name(), *heading) {
            ("run", EXIT_STATUS) => RUN_EXIT,
            _ => &[],
        };
        for (term, text) in of_command.iter().chain(*entries) {
            rest.control("TP", []);
            rest.text([bold(*term)]);
            rest.text([roman(*text)]);
        }
    }
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman("iamctl(1), iamd(8), pam_iam(8), iamd.toml(5), org.iamd1(5)")]);
    let _ = rest.to_writer(&mut page);
    page
}

fn literal(roff: &mut Roff, lines: &[&str]) {
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(*line)]);
    }
    roff.control("fi", []);
}

const EXIT_STATUS: &str = "EXIT STATUS";

/// What comes before the exit codes of all commands in the page of `iamctl run`.
const RUN_EXIT: &[(&str, &str)] = &[
    (
        "0 to 255",
        "The command's own, when it was run. Where it was not, standard error says why, and it is one of \
         those below.",
    ),
    ("126", "The command cannot be run."),
    ("127", "There is no such command."),
    (
        "128 + n",
        "The command was ended by the signal n. By Ctrl-C or Ctrl-\\ iamctl ends itself in the same way, \
         which a shell shows as 130 or 131.",
    ),
];

/// What holds for every command. Exit codes are those of `iamd_protocol::error::Exit`.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        EXIT_STATUS,
        &[
            ("0", "Done."),
            ("1", "Failed for another reason than those below."),
            ("2", "The command line is wrong."),
            (
                "3",
                "The user has to sign in, a login is running and waits for the user, or the account is locked.",
            ),
            ("4", "The site's policy forbids it."),
            ("5", "The daemon or the issuer cannot be reached."),
            ("6", "Validity, scope or audience are not to be had."),
            ("130, 131", "Ended by Ctrl-C or Ctrl-\\ at a question; nothing more was done."),
        ],
    ),
    (
        "OUTPUT",
        &[
            (
                "standard output",
                "The product: a token alone on a line, a listing, or JSON. Nothing else.",
            ),
            (
                "standard error",
                "Everything for people: messages, codes, remarks. Colours, countdown and QR code \
                 only on a terminal.",
            ),
            (
                "--json",
                "Objects whose members are never renamed, retyped or removed; described in \
                 JSON.md of the documentation. An error is then an object {\"error\": {\"name\", \
                 \"message\", \"advice\"}} on standard output. Instants are seconds since \
                 1970-01-01 UTC; what is not known is null.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("BEARER_TOKEN_FILE", "Path of the token file; set at login."),
            (
                "BEARER_TOKEN",
                "A token, set by iamctl token --env. Readers prefer it to the file; it goes stale.",
            ),
            ("IAMD_NO_LOGIN", "When set to anything, iamctl login --if-needed stays silent."),
            ("IAMD_BUS_ADDRESS", "The D-Bus address to use instead of the system bus."),
            ("NO_COLOR", "When not empty, no colours."),
            (
                "OIDC_CONFIG_DIR",
                "Where iamctl account import oidc-agent looks; else in ~/.config/oidc-agent, else in \
                 ~/.oidc-agent.",
            ),
            (
                "IAM_CLIENT_ID, IAM_CLIENT_SECRET, IAM_ENDPOINT and others",
                "Read by iamctl account add --from-env only; see iamctl-account-add(1).",
            ),
        ],
    ),
    (
        "FILES",
        &[(
            "/run/iamd/users/UID/bt_uUID",
            "The token file of the default account; those of others end in -NAME.",
        )],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(name: &str) -> String {
        let (_, page) = pages().into_iter().find(|(file, _)| file == name).unwrap();
        String::from_utf8(page).unwrap()
    }

    fn check(command: &Command) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let text = text_of(&format!("{name}.1")).replace("\\-", "-");
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            if let Some(long) = arg.get_long() {
                assert!(text.contains(&format!("--{long}")), "--{long} is not in {name}.1");
            }
            if let Some(short) = arg.get_short() {
                assert!(text.contains(&format!("-{short}")), "-{short} is not in {name}.1");
            }
            assert!(arg.get_help().is_some(), "{} of {name} has no help", arg.get_id());
        }
        assert!(text.contains("EXAMPLES"), "{name}.1 has no examples");
        for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(text.contains(&format!("-{}(1)", subcommand.get_name())), "{name}.1");
            check(subcommand);
        }
    }

    #[test]
    fn every_command_and_every_flag_is_in_the_manual() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        check(&command);
    }

    #[test]
    fn the_exit_status_of_run_is_the_commands_and_pages_point_to_sections_that_there_are() {
        let text = text_of("iamctl-run.1").replace("\\-", "-");
        let (_, status) = text.split_once("EXIT STATUS").unwrap();
        for term in ["0 to 255", "126", "127", "128 + n", "policy forbids it."] {
            assert!(status.contains(term), "{term}: {status}");
        }
        assert!(!text_of("iamctl-token.1").contains("126"));
        let guide = include_str!("../../../docs/from-oidc-agent.md");
        let sections = guide.split("iamctl(1), ").skip(1);
        let sections: Vec<_> = sections.map(|rest| rest.split('.').next().unwrap()).collect();
        assert!(!sections.is_empty());
        for section in sections {
            assert!(SECTIONS.iter().any(|(heading, _)| *heading == section), "{section}");
        }
    }

    #[test]
    fn every_command_is_in_the_first_help() {
        let command = Cli::command();
        let help = command.get_after_help().unwrap().to_string();
        for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let about = subcommand.get_about().unwrap().to_string();
            let listed = help.lines().any(|line| {
                line.trim().split_once(' ').is_some_and(|(name, text)| {
                    name == subcommand.get_name() && text.trim() == about
                })
            });
            assert!(listed, "{} is not listed with its text", subcommand.get_name());
        }
    }

    #[test]
    fn hidden_commands_have_no_page() {
        assert!(pages().iter().all(|(name, _)| !name.contains("generate-man")));
    }
}
