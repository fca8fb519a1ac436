//! The audit records of `iamd` in the journal (systemd.journal-fields(7)): the names of their
//! fields, and every event with its `MESSAGE_ID`. Both are stable for ever: sites filter by them.

/// What happened: a word of [`EVENTS`].
pub const EVENT: &str = "IAMD_EVENT";
/// Whose: a local uid. Of an administration the uid of who did it.
pub const UID: &str = "IAMD_UID";
/// The account's name.
pub const ACCOUNT: &str = "IAMD_ACCOUNT";
/// The issuer's URL.
pub const ISSUER: &str = "IAMD_ISSUER";
/// The client identifier.
pub const CLIENT: &str = "IAMD_CLIENT";
/// Scopes, with spaces between.
pub const SCOPES: &str = "IAMD_SCOPES";
/// Audiences, with spaces between.
pub const AUDIENCE: &str = "IAMD_AUDIENCE";
/// The first 16 hexadecimal digits of the SHA-256 of the token that is meant.
pub const JTI_HASH: &str = "IAMD_JTI_HASH";
/// The process that called.
pub const CALLER_PID: &str = "IAMD_CALLER_PID";
/// Its program, as far as iamd may see it: a path, or in brackets the name that it gives itself.
pub const CALLER_EXE: &str = "IAMD_CALLER_EXE";
/// `ok`, or the name of an error (`org.iamd1.Error.NAME`), or another word.
pub const RESULT: &str = "IAMD_RESULT";
/// More, for people.
pub const DETAIL: &str = "IAMD_DETAIL";

/// Every event: its word, its `MESSAGE_ID`.
pub const EVENTS: &[(&str, &str)] = &[
    ("sign-in", "5d1f0c7e3b8a4f6e9c2d7a1b4e8f3c60"),
    ("sign-out", "8e2a6b4d1c9f47e5b3a0d6f2c7815e94"),
    ("login-started", "c3b7f1a95e2d4806a4f9e8d3b6c0725a"),
    ("login-failed", "1f9e4c6a7d3b48529e8f0a2c5b7d6e13"),
    ("issue", "a7c4e92f6d1b4b3085e7f3c9d2a6b148"),
    ("narrowed", "3e7ac05b91d64f28b6f3d80e2a5c7194"),
    ("refresh", "62d8b5f3e9a14c7cb0d6a1e4f7283c95"),
    ("denial", "e4f6a8d2c5b94317980b7e3d1f6c2a59"),
    ("registration", "3a9d7e1c6f4b42e8b5c0f8a2d9e37461"),
    ("account-added", "4b8e1d6f0a7c4e52b3f9d5c8a1e60793"),
    ("account-changed", "f27a9c3e5b104d86a8c1e7f40b9d6352"),
    ("account-removed", "0d6e4a81b7f345c9923c8e5fa6d1b07e"),
    ("secrets", "b95f2c7d48e64a1390d7e3a6c8f1052b"),
    ("session-opened", "b1e5c8f7a3d64920a6e2d4f9c7b0835e"),
    ("session-closed", "7c3f9b2e8d5a4e61b9f0c6a3e1d4782b"),
    ("administration", "d6b2e7a4f9c1483f85d0a9e6c3b7f214"),
    ("lock", "5c0e7b92d4a84f1e9b63a8c1f7d2e046"),
    ("unlock", "f2a96d3c81e54b70ad47c9e05b1f8362"),
    ("wrong-passphrase", "0b8d4f6ea1c7493295f3e2d8a6704c1b"),
    ("passphrase", "e9374c1ab5f04d8687d2c0b6f1a8395e"),
    ("uid-reused", "94e1c7d3b6fa4a0282f5e8b9d0c63a7f"),
];
