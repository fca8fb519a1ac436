//! Files that have no error's text, and the few errors that no test can provoke. Each with the reason;
//! what is no longer in the sources must go from here.

/// Files, and directories, none of whose sentences is an error.
pub(crate) const FILES: [(&str, &str); 7] = [
    ("cli/src/args", "the help of commands and options"),
    ("cli/src/args.rs", "the same"),
    ("cli/src/commands/man.rs", "the manual pages"),
    ("daemon/src/fault_points.rs", "only in builds for tests, and said to who compiles it"),
    ("daemon/src/policy/explain.rs", "what rules come to, in words: tests of its own"),
    ("daemon/src/service/notice.rs", "what is said at a login: tests of its own"),
    ("daemon/src/token_file/link.rs", "why a link was left alone is not told, only that it was"),
];

/// Errors that cannot be provoked: file, why, how they begin.
pub(crate) const NOT_PROVOKED: &[(&str, &str, &[&str])] = &[
    (
        "cli/src/commands/admin/audit.rs",
        "a child without the pipe it was given, and a pipe that breaks",
        &["journalctl has no output", "journalctl cannot be read"],
    ),
    ("cli/src/oidc_agent/gpg.rs", "a child without the pipes it was given", &["it has no pipes"]),
    (
        "daemon/src/seal/backup.rs",
        "memory runs out: seal/guard_tests.rs provokes it in a process where no service would run",
        &["there is not enough memory"],
    ),
    (
        "daemon/src/store/etcd/link.rs",
        "the configuration names a member at least, and a page of one value is not that long",
        &["there is no member to ask", "one of its values is longer"],
    ),
    (
        "daemon/src/store/sqlite/snapshot.rs",
        "a task of tokio's that ends early: at the end of the process only",
        &["iamd is shutting down"],
    ),
    (
        "daemon/src/service/vault/upkeep/survey.rs",
        "the compiler asks for it: what opens as a row is not of that kind",
        &["an entry of the journal is no row"],
    ),
    (
        "daemon/src/seal/guard.rs",
        "memory runs out: seal/guard_tests.rs provokes it in a process where no service would run",
        &["there is not enough memory"],
    ),
    (
        "daemon/src/service/vault/guards.rs",
        "the cipher fails beyond 256 GiB only",
        &["its secrets are too long"],
    ),
    (
        "daemon/src/store/sqlite/file.rs",
        "SQLite answers so for databases without shared memory, which its VFS for Linux always has",
        &["this file system does not allow"],
    ),
    (
        "daemon/src/store/sqlite/mod.rs",
        "a task of tokio's that ends early: at the end of the process only",
        &["iamd is shutting down"],
    ),
    (
        "daemon/src/service/vault/sealer.rs",
        "the thread lives as long as what asks it",
        &["the thread of the floors ended"],
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
        "a task of tokio's that ends early: at the end of the process only",
        &["the HTTP client was not made"],
    ),
    (
        "daemon/src/token_file/dir.rs",
        "who puts something there between two system calls, once or each time; and a kind of file that \
         Linux has not",
        &["something that was put there", "something that keeps changing", "something unknown"],
    ),
    (
        "daemon/src/edge/bus/secrets.rs",
        "the kernel does not fail to read a pipe that was looked at before",
        &["a secret could not be read"],
    ),
    (
        "cli/src/failure.rs",
        "the whole node has no descriptors left, also for the test: its own test has the error's number",
        &["Try again later; administrators: the node has no more open files"],
    ),
    (
        "cli/src/ask.rs",
        "a terminal that breaks while it is looked at",
        &["the terminal cannot be asked"],
    ),
    (
        "cli/src/private.rs",
        "somebody takes away a directory that was made just now, in one that only root changes",
        &["the directory is not the user's own"],
    ),
    ("cli/src/commands/completions.rs", "writing to memory", &["no completion script"]),
    (
        "cli/src/commands/run.rs",
        "a child that nobody can wait for, a command line without words",
        &["iamctl: it is not known how", "no command was named"],
    ),
    (
        "cli/src/commands/status/watch.rs",
        "a thread that lives as long as what asks it",
        &["nobody asks the daemon any more"],
    ),
    (
        "cli/src/commands/login/wait.rs",
        "a channel whose other end is held by the one who waits",
        &["nobody answers any more"],
    ),
];
