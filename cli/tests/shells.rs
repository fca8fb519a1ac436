//! Tab in the real shells, on a terminal of their own: what is typed, and the line that stands there
//! then.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::terminal::Terminal;
use support::{Fake, iamctl, run, samples};

/// Between these a shell shows its line, at Ctrl-X Ctrl-P.
const MARKS: (&str, &str) = ("\u{ab}", "\u{bb}");

/// A shell with the completions of `iamctl`, as `iamctl completions` gives them.
struct Shell {
    terminal: Terminal,
    lines: usize,
    home: tempfile::TempDir,
}

impl Shell {
    /// Starts it; `None` where the machine has no such shell and need not have one. `before` is
    /// what its settings begin with.
    fn start(fake: &Fake, shell: &str, before: &str) -> Option<Self> {
        let path = std::env::var("PATH").unwrap();
        if !std::env::split_paths(&path).any(|directory| directory.join(shell).is_file()) {
            let needed = std::env::var_os("IAMD_TESTS_NEED_SHELLS");
            assert!(needed.is_none(), "{shell} is missing");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let script = run(&mut iamctl(&fake.bus.address, &["completions", shell]));
        assert_eq!((script.code, script.stderr.as_str()), (0, ""));
        // Where `iamctl completions --help` says they go.
        let (completions, settings) = match shell {
            "bash" => (".local/share/bash-completion/completions/iamctl", ".bashrc"),
            "zsh" => (".zfunc/_iamctl", ".zshrc"),
            _ => (".config/fish/completions/iamctl.fish", ".config/fish/config.fish"),
        };
        for (file, text) in
            [(completions, script.stdout), (settings, format!("{before}\n{}", settings_of(shell)))]
        {
            let file = home.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let built = Path::new(env!("CARGO_BIN_EXE_iamctl")).parent().unwrap();
        let change = |command: &mut Command| {
            command.env("PATH", format!("{}:{path}", built.display())).env("HOME", home.path());
            command.env("TERM", "xterm").env("HISTFILE", "/dev/null").current_dir(home.path());
        };
        let words = [shell, "-i"];
        let mut terminal = Terminal::start_program(&fake.bus.address, &words, (200, 50), change);
        terminal.wait_for("shell is ready");
        Some(Self { terminal, lines: 0, home })
    }

    /// What stands in the line after these keys.
    fn line(&mut self, keys: &str) -> String {
        self.lines += 1;
        self.terminal.type_keys(keys);
        self.terminal.type_keys("\x18\x10");
        self.terminal.wait_for_again(MARKS.1, self.lines);
        let seen = self.terminal.seen();
        let last = seen.rsplit(MARKS.0).next().unwrap();
        let line = last.split(MARKS.1).next().unwrap().to_owned();
        // Away with it, also with what stands behind the cursor.
        self.terminal.type_keys("\x05\x15");
        line
    }
}

/// What the shell reads at its start: completions as they are documented, and the key that shows the
/// line.
fn settings_of(shell: &str) -> &'static str {
    match shell {
        "bash" => {
            r#"
            PS1='$ '
            bind 'set bell-style none'
            bind 'set enable-bracketed-paste off'
            bind 'set completion-query-items 0'
            shown() { printf '\n«%s»\n' "$READLINE_LINE"; }
            bind -x '"\C-x\C-p": shown'
            echo shell is' ready'
            "#
        }
        "zsh" => {
            r#"
            PS1='$ '
            unsetopt beep list_beep
            shown() { print -r -- $'\n'"«$BUFFER»"; zle reset-prompt }
            zle -N shown
            bindkey -e
            bindkey '^X^P' shown
            echo shell is' ready'
            "#
        }
        _ => {
            r#"
            function fish_greeting; end
            function fish_prompt; echo '$ '; end
            bind \cx\cp 'printf "\n«%s»\n" (commandline)'
            echo shell is' ready'
            "#
        }
    }
}

/// What is typed before Tab, and the line that stands there then: alike in every shell.
const CASES: [(&str, &str); 17] = [
    ("iamctl tok", "iamctl token "),
    // Names of accounts and issuers.
    ("iamctl token w", "iamctl token wlcg "),
    ("iamctl account show c", "iamctl account show cms "),
    ("iamctl login --issuer w", "iamctl login --issuer wlcg "),
    ("iamctl login --issuer=w", "iamctl login --issuer=wlcg "),
    // Scopes, which have colons and slashes; no blank after a path, for it may go on.
    ("iamctl token -s sto", "iamctl token -s storage."),
    ("iamctl token -s storage.r", "iamctl token -s storage.read:/"),
    ("iamctl token -s storage.read:", "iamctl token -s storage.read:/"),
    ("iamctl token -s wlcg.groups:/a", "iamctl token -s wlcg.groups:/atlas "),
    ("iamctl token -ssto", "iamctl token -sstorage."),
    ("iamctl token --scope=sto", "iamctl token --scope=storage."),
    ("iamctl token --scope=wlcg.groups:/c", "iamctl token --scope=wlcg.groups:/cms "),
    // A second one.
    ("iamctl token -s openid -s wlcg.g", "iamctl token -s openid -s wlcg.groups:/"),
    (
        "iamctl token -s storage.read:/ -s storage.m",
        "iamctl token -s storage.read:/ -s storage.modify:/",
    ),
    (
        "iamctl token --scope=storage.read:/ --scope=storage.modify:",
        "iamctl token --scope=storage.read:/ --scope=storage.modify:/",
    ),
    // Not the only command, and with a variable before it.
    ("true; iamctl token -s storage.r", "true; iamctl token -s storage.read:/"),
    // What nothing fits stays.
    ("iamctl token -s zzz", "iamctl token -s zzz"),
];

/// A scope as an issuer of ill will may offer it.
const HOSTILE: &str = "evil;$(reboot)`x`&'";

fn fake() -> Fake {
    let fake = Fake::start(samples::script(samples::base()));
    let scopes = ["wlcg.groups:/atlas", "wlcg.groups:/cms", HOSTILE];
    fake.script().accounts[0].scopes.extend(scopes.map(str::to_owned));
    fake
}

fn completes(shell: &str, before: &str, more: &[(&str, &str)]) {
    let fake = fake();
    let Some(mut running) = Shell::start(&fake, shell, before) else { return };
    for (typed, expected) in CASES.iter().chain(more) {
        let line = running.line(&format!("{typed}\t"));
        assert_eq!(line, *expected, "{shell}, after {typed:?}, with {before:?}");
    }
}

const SOURCED: &str = "source ~/.local/share/bash-completion/completions/iamctl";
const BASH_COMPLETION: &str = "/usr/share/bash-completion/bash_completion";

fn has_bash_completion() -> bool {
    let found = Path::new(BASH_COMPLETION).is_file();
    let needed = std::env::var_os("IAMD_TESTS_NEED_SHELLS").is_some();
    assert!(found || !needed, "bash-completion is missing");
    found
}
const CURSOR_LEFT: char = '\u{2}';

/// What only bash is asked for: quotes, and a cursor that is not at the end of the line.
fn of_bash() -> Vec<(&'static str, &'static str)> {
    vec![
        ("iamctl token -s \"storage.r", "iamctl token -s \"storage.read:/\""),
        ("iamctl token -s 'storage.read:", "iamctl token -s 'storage.read:/'"),
        ("iamctl token --scope=\"wlcg.groups:/a", "iamctl token --scope=\"wlcg.groups:/atlas\" "),
        ("A=b iamctl token -s storage.read:", "A=b iamctl token -s storage.read:/"),
        ("iamctl token -s evil", r"iamctl token -s evil\;\$\(reboot\)\`x\`\&\' "),
        ("iamctl token -s \"evil", "iamctl token -s \"evil"),
    ]
}

#[test]
fn tab_completes_in_bash_where_bash_completion_is_not_installed() {
    completes("bash", SOURCED, &of_bash());
    // Some take the colon out of what ends a word.
    completes("bash", &format!("COMP_WORDBREAKS=${{COMP_WORDBREAKS//:}}\n{SOURCED}"), &of_bash());
    // Settings that some have, and that scripts stumble over.
    completes("bash", &format!("set -u; shopt -s extglob nullglob; IFS=:\n{SOURCED}"), &of_bash());
    completes("bash", &format!("set -o posix\n{SOURCED}"), &of_bash());
}

/// The command that `run` runs is completed as it is by itself.
#[test]
fn tab_completes_the_command_that_is_run() {
    let fake = fake();
    let with = format!("source {BASH_COMPLETION}");
    let compinit = "autoload -Uz compinit\ncompinit -u -D\nsource ~/.zfunc/_iamctl";
    for (shell, before) in [("bash", SOURCED), ("bash", with.as_str()), ("zsh", compinit)] {
        if before == with && !has_bash_completion() {
            continue;
        }
        let Some(mut running) = Shell::start(&fake, shell, before) else { continue };
        fs::write(running.home.path().join("unique-file"), "").unwrap();
        for (typed, expected) in [
            ("iamctl run -- stat uniq", "iamctl run -- stat unique-file "),
            ("iamctl run -s openid -- stat ./uniq", "iamctl run -s openid -- stat ./unique-file "),
            ("iamctl run -- mkfif", "iamctl run -- mkfifo "),
            ("iamctl run -- iamctl tok", "iamctl run -- iamctl token "),
            ("iamctl run --acc", "iamctl run --account "),
        ] {
            // Without bash-completion bash knows no other command's words.
            if before == SOURCED && expected.ends_with("token ") {
                continue;
            }
            assert_eq!(running.line(&format!("{typed}\t")), expected, "{shell}, {before:?}");
        }
    }
}

#[test]
fn tab_completes_in_bash_in_the_middle_of_a_line() {
    let fake = fake();
    let Some(mut running) = Shell::start(&fake, "bash", SOURCED) else { return };
    let left = |times: usize| CURSOR_LEFT.to_string().repeat(times);
    for (typed, expected) in [
        // At the end of the word before the last, inside a word, before a colon.
        (format!("iamctl token -s storage.r --strict{}\t", left(9)), "storage.read:/ --strict"),
        (format!("iamctl token -s storage.read:x{}\t", left(1)), "storage.read:/x"),
        (format!("iamctl token -s wlcg.g:/atlas{}\t", left(7)), "wlcg.groups:/:/atlas"),
        (format!("iamctl  --json{}tok\t", left(7)), "iamctl token --json"),
    ] {
        let line = running.line(&typed);
        assert!(line.ends_with(expected), "after {typed:?}: {line:?}");
    }
}

#[test]
fn tab_tab_lists_scopes_in_bash_as_they_are() {
    let fake = fake();
    let Some(mut running) = Shell::start(&fake, "bash", SOURCED) else { return };
    running.line("iamctl token -s storage.\t\t");
    let seen = running.terminal.seen();
    let listed: Vec<_> = seen.lines().flat_map(str::split_whitespace).collect();
    assert!(listed.contains(&"storage.modify:/") && listed.contains(&"storage.read:/"), "{seen}");
}

/// It reads the script by itself from where `iamctl completions --help` says it goes.
#[test]
fn tab_completes_in_bash_with_bash_completion() {
    if !has_bash_completion() {
        return;
    }
    let mut more = of_bash();
    // It calls ours for the command behind another one, with the separator as a word.
    more.extend([
        ("nice iamctl token -s storage.read:", "nice iamctl token -s storage.read:/"),
        (
            "nice iamctl token --scope=wlcg.groups:/a",
            "nice iamctl token --scope=wlcg.groups:/atlas ",
        ),
    ]);
    completes("bash", &format!("source {BASH_COMPLETION}"), &more);
}

#[test]
fn tab_completes_in_zsh_from_the_first_tab_on() {
    let quoted = [
        ("iamctl token -s \"storage.r", "iamctl token -s \"storage.read:/"),
        ("A=b iamctl token -s storage.read:", "A=b iamctl token -s storage.read:/"),
        ("iamctl token -s evil", r"iamctl token -s evil\;\$\(reboot\)\`x\`\&\' "),
    ];
    // Where compinit finds it, and sourced.
    completes("zsh", "fpath=(~/.zfunc $fpath)\nautoload -Uz compinit\ncompinit -u -D", &quoted);
    completes("zsh", "autoload -Uz compinit\ncompinit -u -D\nsource ~/.zfunc/_iamctl", &quoted);
}

#[test]
fn tab_completes_in_fish() {
    let quoted = [("iamctl token -s evil", r"iamctl token -s evil\;\$\(reboot\)`x`\&\' ")];
    completes("fish", "", &quoted);
}
