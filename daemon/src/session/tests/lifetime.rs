//! A session lasts as long as its process, or until PAM closes it.

use std::fs;

use super::*;

#[tokio::test]
async fn a_session_ends_when_pam_closes_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let (first, second) = (Process::start(), Process::start());
    let one = run.open(ALICE, first.pid());
    let two = run.open(ALICE, second.pid());
    assert_ne!(one, two);
    assert_eq!(run.next().await, SessionEvent::Opened { uid: ALICE, first: true });
    assert_eq!(run.next().await, SessionEvent::Opened { uid: ALICE, first: false });
    assert_eq!((run.sessions.count(ALICE), run.sessions.count(BOB)), (2, 0));

    assert!(run.sessions.close(&one));
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 1 });
    assert!(!run.sessions.close(&one), "closed twice");
    assert!(!run.sessions.close(&SessionId::from(format!("{two}0"))), "a wrong name");
    let left = run.sessions.of(ALICE);
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0].id, left[0].pid, &left[0].login), (&two, second.pid(), &login(ALICE)));

    assert!(run.sessions.close(&two));
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 0 });
    assert!(matches!(run.sessions.presence(ALICE), Presence::Grace(_)));
    assert!(run.sessions.all().is_empty());
}

#[tokio::test]
async fn a_monitor_that_is_killed_counts_as_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let (killed, stays) = (Process::start(), Process::start());
    let gone = run.open(ALICE, killed.pid());
    run.open(ALICE, stays.pid());
    run.open(BOB, stays.pid());
    for _ in 0..3 {
        run.next().await;
    }
    killed.kill();
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 1 });
    assert!(!run.sessions.close(&gone), "it ended by itself");
    stays.kill();
    let mut rest = [run.next().await, run.next().await];
    rest.sort_by_key(|event| matches!(event, SessionEvent::Ended { uid: BOB, .. }));
    assert_eq!(rest[0], SessionEvent::Ended { uid: ALICE, remaining: 0 });
    assert_eq!(rest[1], SessionEvent::Ended { uid: BOB, remaining: 0 });
}

#[tokio::test]
async fn a_process_that_is_a_zombie_or_gone_already_ends_its_session_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let mut zombie = Process::start();
    let pid = zombie.pid();
    let pidfd = process::open(pid).unwrap();
    let late = process::open(pid).unwrap();
    zombie.0.kill().unwrap();
    run.sessions.open(login(ALICE), pid, pidfd).unwrap();
    assert_eq!(run.next().await, SessionEvent::Opened { uid: ALICE, first: true });
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 0 });
    drop(zombie);
    run.sessions.open(login(ALICE), pid, late).unwrap();
    assert_eq!(run.next().await, SessionEvent::Opened { uid: ALICE, first: true });
    assert_eq!(run.next().await, SessionEvent::Ended { uid: ALICE, remaining: 0 });
    assert_eq!(names(dir.path()), [format!("grace-{ALICE}.json")]);
}

#[tokio::test]
async fn several_sessions_of_one_process_are_closed_one_by_one_and_end_together() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let process = Process::start();
    let ids: Vec<SessionId> = (0..3).map(|_| run.open(ALICE, process.pid())).collect();
    assert!(run.sessions.close(&ids[1]));
    assert_eq!(run.sessions.count(ALICE), 2);
    process.kill();
    let mut last = run.next().await;
    while last != (SessionEvent::Ended { uid: ALICE, remaining: 0 }) {
        last = run.next().await;
    }
    assert!(run.sessions.all().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_sessions_leave_no_task_and_no_record() {
    // One descriptor for each, and what the other tests of this process use.
    let (soft, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let many = hard.min(20_000);
    nix::sys::resource::setrlimit(
        nix::sys::resource::Resource::RLIMIT_NOFILE,
        soft.max(many),
        hard,
    )
    .unwrap();
    let count = usize::try_from(many.saturating_sub(600).min(3000)).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let process = Process::start();
    let ids: Vec<SessionId> = (0..count)
        .map(|index| run.open(ALICE + u32::try_from(index % 50).unwrap(), process.pid()))
        .collect();
    assert_eq!(run.sessions.all().len(), count);
    assert_eq!(names(dir.path()).len(), count);
    for id in &ids[..count / 2] {
        assert!(run.sessions.close(id));
    }
    process.kill();
    let mut left = count;
    while left > 0 {
        if let SessionEvent::Ended { .. } = run.next().await {
            left -= 1;
        }
    }
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    settle(|| alive() == 0).await;
    assert!(names(dir.path()).iter().all(|name| name.starts_with("grace-")));
    assert_eq!(names(dir.path()).len(), 50);
}

#[tokio::test]
async fn no_descriptor_of_an_ended_session_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path());
    let (closed, killed, kept) = (Process::start(), Process::start(), Process::start());
    let inodes = [&closed, &killed, &kept].map(|process| pidfd_inode(process.pid()));
    if inodes[0] == inodes[1] {
        println!("not seen: before Linux 6.9 all pidfds look the same");
        return;
    }
    let id = run.open(ALICE, closed.pid());
    run.open(ALICE, killed.pid());
    run.open(ALICE, kept.pid());
    assert_eq!(open_pidfds(inodes), [1, 1, 1]);

    run.sessions.close(&id);
    killed.kill();
    while run.sessions.count(ALICE) > 1 {
        run.next().await;
    }
    settle(|| open_pidfds(inodes) == [0, 0, 1]).await;
    drop(run);
    settle(|| open_pidfds(inodes) == [0, 0, 0]).await;
}

/// Gives tasks that were told to end the time to do so.
async fn settle(done: impl Fn() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        SystemClock.sleep(Duration::from_millis(2)).await;
    }
    panic!("it does not settle");
}

fn pidfd_inode(pid: u32) -> u64 {
    rustix::fs::fstat(process::open(pid).unwrap()).unwrap().st_ino
}

/// How many pidfds with these inodes are open in this process.
fn open_pidfds(inodes: [u64; 3]) -> [usize; 3] {
    let infos: Vec<String> = fs::read_dir("/proc/self/fdinfo")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter(|info| info.contains("\nPid:"))
        .collect();
    inodes.map(|inode| {
        let line = format!("ino:\t{inode}");
        infos.iter().filter(|info| info.lines().any(|found| found == line)).count()
    })
}

#[tokio::test]
async fn a_session_is_named_so_that_no_other_can_be_guessed_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::start(dir.path());
    let process = Process::start();
    let [one, two] = [(), ()].map(|()| run.open(ALICE, process.pid()).to_string());
    let random = |id: &str| u128::from_str_radix(id.rsplit('-').next().unwrap(), 16).unwrap();
    assert!((random(&one) ^ random(&two)).count_ones() > 20, "{one} {two}");
    assert!(one.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()), "{one}");
}
