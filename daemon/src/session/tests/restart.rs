//! What a restart of the daemon finds again.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn record_of(dir: &Path) -> (std::path::PathBuf, serde_json::Value) {
    let name = names(dir).into_iter().find(|name| name.starts_with("session-")).unwrap();
    let path = dir.join(name);
    let value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    (path, value)
}

#[tokio::test]
async fn sessions_go_on_after_a_restart_and_end_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Process::start(), Process::start());
    let before = Run::start(dir.path());
    let first = before.open(ALICE, one.pid());
    before.open(BOB, two.pid());
    let mut known = before.sessions.all();
    drop(before);

    let mut run = Run::start(dir.path());
    assert_eq!(run.sessions.restore(), Restored { open: 2, ended: 0, in_grace: 0 });
    let mut found = run.sessions.all();
    for sessions in [&mut known, &mut found] {
        sessions.sort_by_key(|session| session.login.uid);
    }
    assert_eq!(found, known);
    for _ in 0..2 {
        assert!(matches!(run.next().await, SessionEvent::Opened { first: true, .. }));
    }
    assert!(run.sessions.close(&first), "the module still knows the name");
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 0 });
    two.kill();
    assert_eq!(run.next().await, SessionEvent::Ended { uid: BOB, remaining: 0 });
}

#[tokio::test]
async fn a_session_that_ended_meanwhile_begins_its_grace() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start();
    let before = Run::start(dir.path());
    before.open(ALICE, process.pid());
    drop(before);
    process.kill();

    let run = Run::start(dir.path());
    assert_eq!(run.sessions.restore(), Restored { open: 0, ended: 1, in_grace: 1 });
    assert!(matches!(run.sessions.presence(ALICE), Presence::Grace(_)));
    assert_eq!(names(dir.path()), [format!("grace-{ALICE}.json")]);
}

#[tokio::test]
async fn a_pid_that_was_reused_or_is_from_another_boot_is_not_taken_for_the_session() {
    type Change = fn(&mut serde_json::Value);
    let changes: [Change; 3] = [
        |record| record["started"] = (record["started"].as_u64().unwrap() - 1).into(),
        |record| record["boot"] = "00000000-0000-4000-8000-000000000000".into(),
        |record| record["pid"] = u32::MAX.into(),
    ];
    for change in changes {
        let dir = tempfile::tempdir().unwrap();
        let process = Process::start();
        let before = Run::start(dir.path());
        before.open(ALICE, process.pid());
        drop(before);
        let (path, mut record) = record_of(dir.path());
        change(&mut record);
        fs::write(&path, record.to_string()).unwrap();

        let run = Run::start(dir.path());
        assert_eq!(run.sessions.restore().open, 0, "{record}");
        assert!(!path.exists() && run.sessions.all().is_empty());
    }
}

#[tokio::test]
async fn a_record_without_a_boot_id_is_held_against_the_start_time() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start();
    let before = Run::start(dir.path());
    before.open(ALICE, process.pid());
    drop(before);
    let (path, mut record) = record_of(dir.path());
    record["boot"] = serde_json::Value::Null;
    fs::write(&path, record.to_string()).unwrap();
    assert_eq!(Run::start(dir.path()).sessions.restore().open, 1);
}

#[tokio::test]
async fn what_is_not_a_record_is_removed_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start();
    let before = Run::start(dir.path());
    before.open(ALICE, process.pid());
    drop(before);
    let (path, record) = record_of(dir.path());
    let good = path.file_name().unwrap().to_string_lossy().into_owned();
    for (name, text) in [
        ("session-1-2-3-4.json", record.to_string()),
        ("session-empty.json", String::new()),
        ("session-cut.json", record.to_string()[..40].to_owned()),
        ("session-list.json", "[]".into()),
        ("grace-7.json", r#"{"uid":8,"user":"x","until":1}"#.into()),
        ("grace-x.json", "{".into()),
        (".new-session-half.json", "{".into()),
        ("session-long.json", " ".repeat(1 << 20)),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    fs::write(dir.path().join("README"), "somebody's").unwrap();
    let run = Run::start(dir.path());
    assert_eq!(run.sessions.restore(), Restored { open: 1, ended: 0, in_grace: 0 });
    assert_eq!(names(dir.path()), ["README", &good]);
}

#[tokio::test]
async fn only_the_daemon_reads_the_records() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("sessions");
    let run = Run::start(&dir);
    run.open(ALICE, std::process::id());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&record_of(&dir).0), 0o600);
}

#[tokio::test]
async fn a_directory_that_was_removed_is_made_again_and_one_that_cannot_be_costs_no_login() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("sessions");
    let run = Run::start(&dir);
    run.open(ALICE, std::process::id());
    fs::remove_dir_all(&dir).unwrap();
    let id = run.open(ALICE, std::process::id());
    assert_eq!(names(&dir).len(), 1);

    fs::remove_dir_all(&dir).unwrap();
    fs::write(&dir, "in the way").unwrap();
    run.open(BOB, std::process::id());
    assert!(run.sessions.close(&id));
    assert_eq!((run.sessions.count(ALICE), run.sessions.count(BOB)), (1, 1));
    assert_eq!(Run::start(&dir).sessions.restore(), Restored::default());
}

#[tokio::test]
async fn a_grace_goes_on_after_a_restart_and_never_gets_longer() {
    let dir = tempfile::tempdir().unwrap();
    let before = Run::start(dir.path());
    let id = before.open(ALICE, std::process::id());
    before.sessions.close(&id);
    drop(before);

    // (the wall clock since, what is left of the grace)
    for (pass, left) in [(600, 300), (0, 900)] {
        let run = Run::start(dir.path());
        run.clock.pass(pass);
        assert_eq!(run.sessions.restore(), Restored { open: 0, ended: 0, in_grace: 1 });
        let Presence::Grace(until) = run.sessions.presence(ALICE) else { panic!("not in grace") };
        let seconds = until.duration_since(run.clock.monotonic()).as_secs_f64();
        assert!((seconds - f64::from(left)).abs() < 5.0, "{seconds} s left of {left}");
        // As it was, for the next round.
        let record = format!(r#"{{"uid":{ALICE},"user":"alice","until":{}}}"#, 1_000_000 + 9_000);
        fs::write(dir.path().join(format!("grace-{ALICE}.json")), record).unwrap();
    }
}

#[tokio::test]
async fn a_login_in_the_grace_is_all_that_a_restart_finds() {
    let dir = tempfile::tempdir().unwrap();
    let before = Run::start(dir.path());
    let id = before.open(ALICE, std::process::id());
    before.sessions.close(&id);
    before.open(ALICE, std::process::id());
    assert!(names(dir.path()).iter().all(|name| !name.starts_with("grace-")));
    // As if the daemon had been killed before it removed the file.
    fs::write(
        dir.path().join(format!("grace-{ALICE}.json")),
        format!(r#"{{"uid":{ALICE},"user":"alice","until":1}}"#),
    )
    .unwrap();
    drop(before);
    let run = Run::start(dir.path());
    assert_eq!(run.sessions.restore(), Restored { open: 1, ended: 0, in_grace: 0 });
    assert_eq!(names(dir.path()).len(), 1);
}
