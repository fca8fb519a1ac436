//! What looks like an error's text in the sources and is none, and the few errors that no test can
//! provoke. Each with the reason; what is no longer in the sources must go from here.

/// Files, and directories, none of whose sentences is an error.
pub(crate) const FILES: [(&str, &str); 10] = [
    ("cli/src/args", "the help of commands and options"),
    ("cli/src/args.rs", "the same"),
    ("cli/src/commands/man.rs", "the manual pages"),
    ("cli/src/commands/doctor", "findings, each with its advice: tests of their own"),
    ("cli/src/commands/doctor.rs", "the same"),
    ("cli/src/commands/status/block.rs", "what is, not what failed: transcripts/status.txt"),
    ("daemon/src/service/doctor", "findings, each with its advice: tests of their own"),
    ("daemon/src/service/doctor.rs", "the same"),
    ("daemon/src/service/notice.rs", "what is said at a login: tests of its own"),
    ("daemon/src/token_file/link.rs", "why a link was left alone is not told, only that it was"),
];

/// Sentences that are no errors: file, why, how they begin.
pub(crate) const NOT_ERRORS: &[(&str, &str, &[&str])] = &[
    (
        "daemon/src/service/logout.rs",
        "remarks beside a success",
        &[
            "the account was locked, so",
            "there was nothing to revoke",
            "the issuer did not confirm the revocation",
            "its passphrase is forgotten too",
            "the record did not open, so",
        ],
    ),
    (
        "daemon/src/service/remove.rs",
        "remarks beside a success",
        &[
            "the default account is",
            "the account was locked: ",
            "the issuer did not confirm",
            "its client",
            "the client {id} that you gave",
            "the record did not open, so",
        ],
    ),
    (
        "daemon/src/service/add.rs",
        "remarks beside a success, and what is recorded",
        &[
            "with a refresh token",
            "which account is the default one",
            "the issuer took the refresh token",
            "; with one of its own:",
            "{whose} is not registered for:",
        ],
    ),
    (
        "daemon/src/service/edit.rs",
        "a remark beside a success",
        &["there is no token for that yet"],
    ),
    (
        "daemon/src/service/clients.rs",
        "remarks beside a success, and what is recorded",
        &["the issuer did not register the client", "registered for {}, the uid now"],
    ),
    ("daemon/src/service/drain.rs", "what is recorded", &["drain: {}", "drain off", "drain state"]),
    (
        "daemon/src/service/revoke.rs",
        "remarks on each sign-in, and what is recorded",
        &[
            ": would end",
            ": ended",
            "there is nothing to revoke",
            "it was locked: ",
            "there was nothing to revoke",
            "by an administrator, uid",
        ],
    ),
    ("daemon/src/service/rename.rs", "what is recorded", &["is called {} now"]),
    ("daemon/src/service/accounts.rs", "what is recorded", &["made by {}, the uid now"]),
    (
        "daemon/src/service/presence.rs",
        "remarks on a token file that is there",
        &["{size} bytes: XRootD refuses", "$XDG_RUNTIME_DIR/bt_u{uid} is yours"],
    ),
    ("daemon/src/service/vault/kept.rs", "a noun", &["the settings"]),
    (
        "daemon/src/service/vault/replay.rs",
        "what the log says of a journal entry that is not needed any more",
        &[
            "the account is another one now",
            "the account's passphrase was changed since",
            "the store has a",
            "the user signed out since",
            "a journal entry is garbled",
            "the journal entry",
        ],
    ),
    (
        "daemon/src/session/peer.rs",
        "in the log only: the module hears that it is refused",
        &["the peer"],
    ),
    ("daemon/src/session/mod.rs", "in the log only: the session opens", &["process {pid} cannot"]),
    (
        "daemon/src/startup.rs",
        "what systemd is told",
        &["finishing requests at issuers", "the configuration on disk"],
    ),
    ("daemon/src/seal/keyring.rs", "a comment in a file that is made", &["# The keys of iamd's"]),
    (
        "daemon/src/store/error.rs",
        "between the store and iamd; a conflict is told by the vault",
        &["the value was changed meanwhile", "the changes since revision"],
    ),
    ("daemon/src/store/sqlite/changes.rs", "SQL", &["SELECT", "INSERT"]),
    ("daemon/src/store/sqlite/file.rs", "SQL", &["\n    CREATE TABLE"]),
    ("daemon/src/store/sqlite/mod.rs", "SQL", &["SELECT", "INSERT"]),
    ("daemon/src/issuer/registration.rs", "a word that an issuer may say", &["client name"]),
    (
        "daemon/src/issuer/configuration.rs",
        "what an issuer may say",
        &["invalid registration access"],
    ),
    ("daemon/src/issuer/error.rs", "what an issuer may say", &["acceptable us", "terms of use"]),
    (
        "daemon/src/issuer/metadata.rs",
        "a finding of the doctor's",
        &["; not for: {}", "dialect {dialect}"],
    ),
    (
        "daemon/src/account/guard.rs",
        "of a record that is sealed: the vault tells it",
        &["not base64"],
    ),
    (
        "cli/src/commands/issuer.rs",
        "what is, not what failed",
        &[
            "not listed by this site",
            "Public client",
            "not known",
            "per-site: ",
            "per-user: ",
            "fixed: ",
            "yes: ",
        ],
    ),
    ("cli/src/commands/admin.rs", "a time", &["{} ago"]),
    (
        "cli/src/commands/admin/revoke.rs",
        "a question and successes",
        &["End {}?", "Nothing was ended.", "Nothing fits."],
    ),
    (
        "cli/src/commands/logout.rs",
        "a success",
        &["the issuer has revoked", "the sign-in is forgotten"],
    ),
    (
        "cli/src/commands/passphrase.rs",
        "successes and questions",
        &[
            "Unlocked {name}",
            "The passphrase of {name} is",
            "{name} has a passphrase now",
            "Passphrase of {}: ",
            "New passphrase for",
            "The same once more",
        ],
    ),
    ("cli/src/commands/token.rs", "the product", &["export ", "Authorization: "]),
    (
        "cli/src/commands/run.rs",
        "remarks while the command runs: cli/tests/run.rs",
        &["iamctl: the token has 4096", "iamctl: {BEARER_TOKEN} is not renewed"],
    ),
    (
        "cli/src/commands/run/renew.rs",
        "remarks while the command runs: cli/tests/run.rs",
        &[
            "iamctl: the account {} is called",
            "the token file cannot be written",
            "the present one expires",
            "there is none at present",
            "iamctl: the token was not renewed",
        ],
    ),
    ("cli/src/commands/status/mod.rs", "what is, not what failed", &["  Finish it:"]),
    ("cli/src/commands/status/watch.rs", "a remark: it goes on", &["{}; this was the last answer"]),
    (
        "cli/src/commands/login/show.rs",
        "progress and success",
        &["Asking the issuer", "Waiting", "  (Ctrl-C leaves", "But there is no token file"],
    ),
    (
        "cli/src/commands/account/change.rs",
        "questions and successes",
        &[
            "Sign in now?",
            "Nothing was removed.",
            " The issuer has",
            "its client stays",
            "a client that was registered",
            "Remove the account",
        ],
    ),
    (
        "cli/src/commands/account/add.rs",
        "a question, and remarks beside a success",
        &[
            "iamd keeps the secret now.",
            "{PASSWORD} is not taken",
            "Client {client_id}: ",
            "One that has none:",
        ],
    ),
    (
        "cli/src/commands/account/show.rs",
        "what is, not what failed",
        &[
            "These are secrets",
            "Whose client",
            "Client name",
            "Scopes asked",
            "Signed in at",
            "Renewed at",
            "Token ends",
            "Sign-in ends",
            "the site's, ",
            "yours, for all",
            "this account's own",
            "the one that you gave",
            "the public client that",
        ],
    ),
    (
        "cli/src/commands/account/add/dialogue.rs",
        "questions, and what is said before they are asked again: cli/tests/questions.rs",
        &[
            "Issuers of this site",
            "Number, name or URL",
            "URL of the issuer",
            "{answer:?} is none of them",
            "Name of the account",
            "You have an account",
            "What the issuer offers",
            "Tab completes",
            "Scopes [default]",
            "Audience [default]",
        ],
    ),
    ("cli/src/client/errors.rs", "a sign to look for", &["Unit dbus-org.iamd1.service"]),
    ("cli/src/output/time.rs", "times", &["{} days", "ended {} ago", "{year:04}"]),
    (
        "pam_module/src/session.rs",
        "no error: the log of what was done",
        &[
            ", notice shown",
            "session opened",
            "nothing for this user",
            "nothing to close",
            "session closed",
        ],
    ),
    (
        "pam_module/src/guard.rs",
        "a bug, which tests/host.rs shows with selftest=panic",
        &["a bug: panic at"],
    ),
    ("pam_module/src/lib.rs", "said by the compiler", &["pam_iam must be built"]),
    (
        "pam_module/src/sys.rs",
        "said by the compiler, and a name",
        &["check the socket", "pam_iam session"],
    ),
];

/// Errors that cannot be provoked: file, why, how they begin.
pub(crate) const NOT_PROVOKED: &[(&str, &str, &[&str])] = &[
    (
        "daemon/src/seal/guard.rs",
        "memory runs out: a limit for the test's process would end its other tests",
        &["there is not enough memory"],
    ),
    (
        "daemon/src/service/vault/guards.rs",
        "the cipher fails beyond 256 GiB only",
        &["its secrets are too long"],
    ),
    (
        "daemon/src/store/error.rs",
        "iamd is root, whom no permission stops",
        &["; iamd must own it and run as root"],
    ),
    (
        "daemon/src/store/sqlite/file.rs",
        "a file system over the network, permissions that stop root, a disk that breaks",
        &[
            "this file system does not allow",
            "; see that the directory",
            "; look for errors of the disk",
        ],
    ),
    (
        "daemon/src/store/sqlite/mod.rs",
        "a task of tokio's that ends early: at the end of the process only",
        &["iamd is shutting down"],
    ),
    (
        "daemon/src/store/journal/mod.rs",
        "the thread lives as long as what asks it",
        &["the journal's thread ended"],
    ),
    (
        "daemon/src/service/new_client.rs",
        "a task of tokio's that ends early: at the end of the process only",
        &["the client could not be registered"],
    ),
    (
        "daemon/src/token/mod.rs",
        "a task of tokio's that ends early: at the end of the process only",
        &["the refresh ended early"],
    ),
    (
        "daemon/src/issuer/http.rs",
        "a task of tokio's that ends early, and a node without any certificates",
        &["the HTTP client was not made", "TLS cannot be used"],
    ),
    (
        "daemon/src/token_file/dir.rs",
        "a race that is won every time, and a kind of file that Linux has not",
        &["something that keeps changing", "something unknown"],
    ),
    (
        "daemon/src/edge/bus/secrets.rs",
        "the kernel does not fail to read a pipe that was looked at before",
        &["a secret could not be read", "the pipe cannot be read"],
    ),
    (
        "cli/src/ask.rs",
        "a terminal that breaks while it is looked at",
        &["the terminal cannot be asked"],
    ),
    (
        "cli/src/secret.rs",
        "no descriptors are left: the program would not have begun",
        &["no pipe is to be had"],
    ),
    (
        "cli/src/private.rs",
        "somebody takes away a directory that was made just now, in one that only root changes",
        &["the directory is not the user's own"],
    ),
    ("cli/src/commands/completions.rs", "writing to memory", &["no completion script"]),
    (
        "cli/src/commands/run.rs",
        "no descriptors are left, a child that nobody can wait for, a command line without words",
        &["signals cannot be attended to", "iamctl: it is not known how", "no command was named"],
    ),
    (
        "cli/src/commands/status/watch.rs",
        "a thread that lives as long as what asks it",
        &["nobody asks the daemon any more"],
    ),
    (
        "cli/src/commands/login/wait.rs",
        "a channel whose other end is held, and a daemon that fails without a word",
        &["nobody answers any more", "the login failed"],
    ),
    (
        "cli/src/client/errors.rs",
        "a daemon of another make that answers in other types",
        &["the answer of iamd is not understood"],
    ),
];
