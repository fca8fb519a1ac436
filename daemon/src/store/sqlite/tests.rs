//! The SQLite store: the promises of every store, and those of its file.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::PathBuf,
};

use futures_util::StreamExt;
use tempfile::TempDir;

use super::*;

const ABSENT: Revision = Revision::ABSENT;

fn dir() -> (TempDir, StateDir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = StateDir::open(temp.path()).unwrap();
    (temp, dir)
}

fn make() -> (Arc<dyn Store>, TempDir) {
    let (temp, dir) = dir();
    (Arc::new(SqliteStore::open(&dir).unwrap()), temp)
}

store_conformance!(make());

async fn fill(store: &SqliteStore, keys: usize) {
    for i in 0..keys {
        let value = Some(vec![7; 2000]);
        store.compare_and_swap(&format!("k/{i:04}"), ABSENT, value).await.unwrap();
    }
}

/// A database with some pages in it, closed.
async fn closed_database() -> (TempDir, PathBuf) {
    let (temp, dir) = dir();
    fill(&SqliteStore::open(&dir).unwrap(), 50).await;
    let path = temp.path().join("iamd.db");
    (temp, path)
}

fn refused(temp: &TempDir) -> StoreError {
    SqliteStore::open(&StateDir::open(temp.path()).unwrap()).unwrap_err()
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_only_root_can_read_it() {
    let (temp, dir) = dir();
    let store = SqliteStore::open(&dir).unwrap();
    let at = store.compare_and_swap("k", ABSENT, Some(b"v".to_vec())).await.unwrap();
    for name in ["iamd.db", "iamd.db-wal", "iamd.db-shm", "iamd.lock"] {
        let mode = temp.path().join(name).metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut changes = store.watch("", ABSENT).await.unwrap();
    drop(store);
    assert!(changes.next().await.unwrap().is_ok());
    assert!(changes.next().await.is_none(), "a closed store ends its watches");
    drop(changes);

    let store = SqliteStore::open(&dir).unwrap();
    let found = store.get("k").await.unwrap().unwrap();
    assert_eq!((found.value.as_slice(), found.revision), (&b"v"[..], at));
    let next = store.compare_and_swap("k", at, None).await.unwrap();
    assert!(next > at, "revisions go on after a restart");
}

#[tokio::test]
async fn a_row_is_read_once_until_somebody_writes_and_never_older_than_what_was_committed() {
    let (temp, dir) = dir();
    let store = SqliteStore::open(&dir).unwrap();
    let first = store.compare_and_swap("a/k", ABSENT, Some(b"1".to_vec())).await.unwrap();
    let value = async || store.get("a/k").await.unwrap().map(|row| row.value);
    let listed = async || store.list("a/").await.unwrap().entries.len();
    assert_eq!((value().await, listed().await), (Some(b"1".to_vec()), 1));
    // Held, no query gets through; what was read is there without one.
    let held = store.reader.connection.lock().await;
    assert_eq!((value().await, listed().await), (Some(b"1".to_vec()), 1));
    drop(held);
    let second = store.compare_and_swap("a/k", first, Some(b"2".to_vec())).await.unwrap();
    assert_eq!(value().await, Some(b"2".to_vec()));
    // Who knows an old revision changes nothing, however lately it was read.
    let stale = store.compare_and_swap("a/k", first, Some(b"3".to_vec())).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "{stale:?}");
    assert_eq!((value().await, listed().await), (Some(b"2".to_vec()), 1));
    // Another program's hands in the file, and its undone changes, which are none.
    let foreign = Connection::open(temp.path().join("iamd.db")).unwrap();
    foreign.execute_batch("BEGIN; UPDATE entries SET value = x'33'").unwrap();
    assert_eq!(value().await, Some(b"2".to_vec()));
    foreign.execute_batch("COMMIT").unwrap();
    assert_eq!(value().await, Some(b"3".to_vec()));
    foreign.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    foreign.execute_batch("DELETE FROM entries").unwrap();
    assert_eq!((value().await, listed().await), (None, 0));
    store.compare_and_swap("a/k", ABSENT, Some(b"4".to_vec())).await.unwrap();
    assert_eq!((value().await, listed().await), (Some(b"4".to_vec()), 1));
    store.compare_and_swap("a/k", second, None).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_beside_a_writer_never_see_time_go_back() {
    let (_temp, dir) = dir();
    let store = Arc::new(SqliteStore::open(&dir).unwrap());
    let mut at = store.compare_and_swap("k", ABSENT, Some(vec![])).await.unwrap();
    let written = watch::Sender::new(at);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, written) = (Arc::clone(&store), written.subscribe());
            tokio::spawn(async move {
                let mut seen = ABSENT;
                loop {
                    let least = *written.borrow();
                    let found = store.get("k").await.unwrap().unwrap().revision;
                    assert!(found >= least && found >= seen, "{found:?} {least:?} {seen:?}");
                    seen = found;
                    if written.has_changed().is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..100 {
        at = store.compare_and_swap("k", at, Some(vec![])).await.unwrap();
        written.send_replace(at);
    }
    drop(written);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn permissions_that_others_got_are_taken_away() {
    let (temp, path) = closed_database().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    SqliteStore::open(&StateDir::open(temp.path()).unwrap()).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn removals_are_bounded_and_a_watch_from_before_is_told_to_list_again() {
    let (_temp, dir) = dir();
    let store = SqliteStore::open_keeping(&dir, 3).unwrap();
    let mut removed = Vec::new();
    for i in 0..10 {
        let made = store.compare_and_swap(&i.to_string(), ABSENT, Some(vec![])).await.unwrap();
        removed.push(store.compare_and_swap(&i.to_string(), made, None).await.unwrap());
    }
    let mut stale = store.watch("", removed[5]).await.unwrap();
    assert_eq!(stale.next().await, Some(Err(StoreError::Compacted { after: removed[5].0 })));
    assert!(stale.next().await.is_none());
    let mut fresh = store.watch("", removed[6]).await.unwrap();
    for revision in &removed[7..] {
        assert_eq!(fresh.next().await.unwrap().unwrap().revision, *revision);
    }
}

#[tokio::test]
async fn a_damaged_database_is_refused_by_name_and_left_as_it_is() {
    let (temp, path) = closed_database().await;
    let whole = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for page in 2..(whole.len() / 4096) as u64 {
        file.write_all_at(&[0xa5; 512], page * 4096).unwrap();
    }
    let damaged = fs::read(&path).unwrap();
    let error = refused(&temp);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("iamd.db") && text.contains("backup"), "{text}");
    assert!(fs::read(&path).unwrap() == damaged);

    for wrong in
        [&b"not a database, not at all, and long enough to be looked at"[..], &whole[..5000]]
    {
        fs::write(&path, wrong).unwrap();
        assert!(matches!(refused(&temp), StoreError::Corrupt { .. }));
        assert!(fs::read(&path).unwrap() == wrong);
    }
}

#[tokio::test]
async fn a_database_of_a_later_iamd_or_of_something_else_is_refused() {
    let (temp, path) = closed_database().await;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let error = refused(&temp);
    assert!(matches!(error, StoreError::Newer { found: 9, known: 1, .. }), "{error}");
    stops(&temp, "a later iamd wrote the database", &error);

    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let error = refused(&temp);
    assert!(error.to_string().contains("not iamd's database"), "{error}");
    stops(&temp, "the database is another program's", &error);
}

#[tokio::test]
async fn a_full_store_says_so_changes_nothing_and_works_again_once_there_is_room() {
    let (_temp, dir) = dir();
    let store = SqliteStore::open(&dir).unwrap();
    fill(&store, 3).await;
    let limit = |pages: i64| {
        let writer = store.writer.clone();
        async move {
            let set = move |connection: &mut Connection| {
                connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
                Ok(())
            };
            writer.run(set).await.unwrap();
        }
    };
    limit(1).await;
    let huge = Some(vec![1; 1 << 20]);
    let error = store.compare_and_swap("big", ABSENT, huge.clone()).await.unwrap_err();
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!(store.keys("").await.unwrap().len(), 3);
    limit(1 << 20).await;
    store.compare_and_swap("big", ABSENT, huge).await.unwrap();
}

#[tokio::test]
async fn a_foreign_writer_that_does_not_let_go_is_named() {
    let (temp, dir) = dir();
    let store = SqliteStore::open(&dir).unwrap();
    let foreign = Connection::open(temp.path().join("iamd.db")).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let impatient =
        |connection: &mut Connection| Ok(connection.busy_timeout(std::time::Duration::ZERO)?);
    store.writer.run(impatient).await.unwrap();
    let error = store.compare_and_swap("k", ABSENT, Some(vec![])).await.unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    shows(&temp, "another program writes the database", &error);
    foreign.execute_batch("ROLLBACK").unwrap();
    store.compare_and_swap("k", ABSENT, Some(vec![])).await.unwrap();
}

#[tokio::test]
async fn a_database_that_may_not_be_written_is_named_with_the_way_out() {
    let (temp, dir) = dir();
    let store = SqliteStore::open(&dir).unwrap();
    let only_read =
        |connection: &mut Connection| Ok(connection.pragma_update(None, "query_only", 1)?);
    store.writer.run(only_read).await.unwrap();
    let error = store.compare_and_swap("k", ABSENT, Some(vec![])).await.unwrap_err();
    shows(&temp, "the database may not be written", &error);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_named_with_the_way_out() {
    let (temp, dir) = dir();
    let store = SqliteStore::open(&dir).unwrap();
    fill(&store, 1).await;
    fs::rename(temp.path().join("iamd.db"), temp.path().join("moved")).unwrap();
    let Err(error) = store.snapshot().await else { panic!("a snapshot of nothing") };
    shows(&temp, "the database was moved away below a running iamd", &error);
    fs::rename(temp.path().join("moved"), temp.path().join("iamd.db")).unwrap();
    assert_eq!(store.snapshot().await.unwrap().count, 1);
}

/// Runs this test once more behind `words`, as the child that it is then; false: as the child.
fn in_a_process_behind(words: &[&str], test: &str) -> bool {
    const CHILD: &str = "IAMD_TEST_BEHIND";
    if std::env::var_os(CHILD).is_some() {
        return false;
    }
    let mut child = std::process::Command::new(words[0]);
    child.args(&words[1..]).arg(std::env::current_exe().unwrap());
    child.args([&format!("store::sqlite::tests::{test}"), "--exact", "--nocapture"]);
    let output = child.env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("all of it"), "{output:?}");
    true
}

/// A disk that does not take what is written, as the limit on the size of files does.
#[test]
fn a_disk_that_breaks_is_named_with_the_way_out_and_nothing_is_half_there() {
    const NAME: &str = "a_disk_that_breaks_is_named_with_the_way_out_and_nothing_is_half_there";
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 1000; exec \"$@\"", "sh"];
    if in_a_process_behind(&limited, NAME) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (temp, dir) = dir();
        let store = SqliteStore::open(&dir).unwrap();
        fill(&store, 1).await;
        let long = Some(vec![7; 4 << 20]);
        let error = store.compare_and_swap("long", ABSENT, long).await.unwrap_err();
        shows(&temp, "the disk fails while something is written", &error);
        assert_eq!(store.keys("").await.unwrap(), ["k/0000"]);
    });
    println!("\nall of it");
}

/// Root whom permissions stop: a unit that takes the capability for it away, or a directory that
/// was made immutable.
#[test]
fn root_without_its_powers_is_told_what_iamd_needs() {
    const NAME: &str = "root_without_its_powers_is_told_what_iamd_needs";
    let powerless = ["setpriv", "--bounding-set=-dac_override"];
    let words: &[&str] = if nix::unistd::geteuid().is_root() { &powerless } else { &["env"] };
    if in_a_process_behind(words, NAME) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let only_read = fs::Permissions::from_mode(0o500);
    fs::set_permissions(temp.path(), only_read).unwrap();
    let error = StateDir::open(temp.path()).unwrap_err();
    stops(&temp, "the state directory does not let iamd write", &error);
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).unwrap();
    println!("\nall of it");
}

/// As the vault says it.
fn shows(temp: &TempDir, when: &str, error: &StoreError) {
    let text = error.to_string().replace(temp.path().to_str().unwrap(), "/var/lib/iamd");
    let error = crate::account::ports::VaultError::Unavailable { text };
    crate::testing::shows("Store and keys", when, error);
}

/// As a start says it.
fn stops(temp: &TempDir, when: &str, error: &StoreError) {
    let text = error.to_string().replace(temp.path().to_str().unwrap(), "/var/lib/iamd");
    crate::testing::stops("Store and keys", when, 1, &text);
}
