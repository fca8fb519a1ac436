//! Opening the database file: its permissions, its format, its health.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use crate::store::{StoreError, state_dir::open_private};

pub(super) const NAME: &str = "iamd.db";
/// "iamd", at the place where `file(1)` looks.
const APPLICATION: i64 = 0x6961_6d64;
const FORMAT: i64 = 1;
/// For `sqlite3 iamd.db` in the hands of an administrator: iamd itself never waits for itself.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counters VALUES ('revision', 0), ('compacted', 0);
    CREATE TABLE entries (
        key BLOB PRIMARY KEY,
        value BLOB NOT NULL,
        revision INTEGER NOT NULL UNIQUE
    );
    CREATE TABLE removals (revision INTEGER PRIMARY KEY, key BLOB NOT NULL);
";

/// A connection to write, one to read, and the latest revision.
pub(super) fn open(path: &Path) -> Result<(Connection, Connection, u64), StoreError> {
    // SQLite would make it with the umask's permissions; -wal and -shm get those of this file.
    // Closed again before SQLite opens it: closing later would drop SQLite's POSIX locks.
    drop(open_private(path)?);
    let fault = |error: rusqlite::Error| explained(path, &error);
    let mut writer = connect(path).map_err(fault)?;
    prepare(path, &mut writer)?;
    let latest = counter(&writer, "revision").map_err(fault)?;
    let reader = connect_to_read(path).map_err(fault)?;
    Ok((writer, reader, latest))
}

/// A further connection that only reads.
pub(super) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let reader = connect(path)?;
    reader.pragma_update(None, "query_only", true)?;
    Ok(reader)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The file is data, not program: a schema that was tampered with runs nothing.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn prepare(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let fault = |error: rusqlite::Error| explained(path, &error);
    let pragma = |connection: &Connection, name: &str| -> Result<i64, StoreError> {
        connection.pragma_query_value(None, name, |row| row.get(0)).map_err(fault)
    };
    let shown = || path.display().to_string();
    let (application, format) =
        (pragma(connection, "application_id")?, pragma(connection, "user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fault)?;
    let fresh = (application, format, tables) == (0, 0, 0);
    if !fresh && application != APPLICATION {
        return Err(StoreError::Corrupt { path: shown(), what: "not iamd's database".into() });
    }
    if format > FORMAT {
        return Err(StoreError::Newer { path: shown(), found: format, known: FORMAT });
    }
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(fault)?;
    if !mode.eq_ignore_ascii_case("wal") {
        let what = "this file system does not allow a write-ahead log; use a local one";
        return Err(StoreError::unavailable(path, what));
    }
    if fresh {
        return create(connection).map_err(fault);
    }
    let healthy: Option<String> = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .optional()
        .map_err(fault)?;
    match healthy {
        Some(word) if word == "ok" => Ok(()),
        found => Err(StoreError::Corrupt { path: shown(), what: found.unwrap_or_default() }),
    }
}

/// In one transaction: a start that died leaves an empty file, or a whole one.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    change.execute_batch(SCHEMA)?;
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", FORMAT)?;
    change.commit()
}

pub(super) fn counter(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let mut query = connection.prepare_cached("SELECT value FROM counters WHERE name = ?1")?;
    query.query_row([name], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

/// An error of SQLite, with the path and the way out.
pub(super) fn explained(path: &Path, error: &rusqlite::Error) -> StoreError {
    let shown = path.display().to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt { path: shown, what: error.to_string() }
        }
        Some(code) => {
            let advice = match code {
                ErrorCode::DiskFull => "; make room on this file system",
                ErrorCode::ReadOnly => "; mount it writable, and see that root owns the file",
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                    "; another program has it open, such as sqlite3: close it"
                }
                ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                    "; see that the directory is there, writable, and root's"
                }
                ErrorCode::SystemIoFailure => "; look for errors of the disk in the kernel's log",
                _ => "",
            };
            StoreError::unavailable(path, format!("{error}{advice}"))
        }
        // Not SQLite's own: a row that is not what the schema says.
        None => StoreError::Corrupt { path: shown, what: error.to_string() },
    }
}
