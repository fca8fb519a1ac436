//! The journal on a real file: what was written is there, torn ends and all.

use std::{fs, os::unix::fs::MetadataExt};

use tempfile::TempDir;

use super::*;

fn open(temp: &TempDir) -> Journal {
    Journal::open(&StateDir::open(temp.path()).unwrap()).unwrap()
}

fn payloads(journal: &Journal) -> Vec<Vec<u8>> {
    journal.unsettled().into_iter().map(|entry| entry.payload).collect()
}

#[tokio::test]
async fn entries_are_there_after_a_restart_until_they_are_settled() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    let first = journal.append(b"one".to_vec()).await.unwrap();
    let second = journal.append(Vec::new()).await.unwrap();
    assert!(second > first);
    drop(journal);
    let mode = temp.path().join("journal").metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);

    let journal = open(&temp);
    assert_eq!(payloads(&journal), [b"one".to_vec(), Vec::new()]);
    journal.settle(first).await.unwrap();
    journal.settle(first).await.unwrap();
    assert!(!journal.is_unsettled(first) && journal.is_unsettled(second));
    drop(journal);

    let journal = open(&temp);
    assert_eq!(payloads(&journal), [b"".to_vec()]);
    assert!(journal.append(b"three".to_vec()).await.unwrap() > second, "ids go on");
}

#[tokio::test]
async fn a_journal_torn_at_any_byte_gives_every_entry_that_was_whole() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    let path = temp.path().join("journal");
    let mut ends = vec![path.metadata().unwrap().len()];
    for payload in ["first", "second, longer", "third"] {
        journal.append(payload.into()).await.unwrap();
        ends.push(path.metadata().unwrap().len());
    }
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        // What was not written yet may be missing, or zeros, as after a power failure.
        for tail in [0, 40] {
            let torn = tempfile::tempdir().unwrap();
            let mut bytes = whole[..length].to_vec();
            bytes.resize(length + if length < 8 { 0 } else { tail }, 0);
            fs::write(torn.path().join("journal"), bytes).unwrap();
            let journal = open(&torn);
            let kept = ends.iter().filter(|&&end| end <= length as u64).count().max(1) - 1;
            assert_eq!(payloads(&journal).len(), kept, "cut at {length}");
            assert!(!torn.path().join("journal.damaged").exists());
            journal.append(b"new".to_vec()).await.unwrap();
            drop(journal);
            assert_eq!(payloads(&open(&torn)).len(), kept + 1, "cut at {length}");
        }
    }
}

#[tokio::test]
async fn a_damaged_entry_costs_no_other_and_the_damaged_file_is_kept() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    for payload in ["first", "second", "third"] {
        journal.append(payload.into()).await.unwrap();
    }
    drop(journal);
    let path = temp.path().join("journal");
    let whole = fs::read(&path).unwrap();
    let second = whole.windows(6).position(|bytes| bytes == b"second").unwrap();
    for at in second - 17..second + 6 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("journal"), &bytes).unwrap();
        let journal = open(&copy);
        assert_eq!(payloads(&journal), [b"first".to_vec(), b"third".to_vec()], "damaged at {at}");
        assert_eq!(fs::read(copy.path().join("journal.damaged")).unwrap(), bytes);
        drop(journal);
        assert_eq!(payloads(&open(&copy)).len(), 2);
    }
}

#[tokio::test]
async fn a_file_that_is_no_journal_or_a_later_one_is_refused_and_left() {
    for (bytes, word) in
        [(&b"something else"[..], "not a journal"), (b"iamdjnl\x09", "format is 9")]
    {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("journal"), bytes).unwrap();
        let error = Journal::open(&StateDir::open(temp.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert_eq!(fs::read(temp.path().join("journal")).unwrap(), bytes);
    }
}

#[tokio::test]
async fn it_becomes_small_again_once_what_is_in_it_is_settled() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    let path = temp.path().join("journal");
    let kept = journal.append(b"kept".to_vec()).await.unwrap();
    let mut largest = 0;
    for _ in 0..100 {
        let id = journal.append(vec![7; 4000]).await.unwrap();
        largest = largest.max(path.metadata().unwrap().len());
        journal.settle(id).await.unwrap();
    }
    assert!(largest > 64_000 && largest < 80_000, "{largest}");
    assert_eq!(journal.unsettled().len(), 1);
    drop(journal);
    let journal = open(&temp);
    assert_eq!(payloads(&journal), [b"kept".to_vec()]);
    assert!(journal.is_unsettled(kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_appends_at_once_are_all_there_under_ids_of_their_own() {
    let temp = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(&temp));
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..200_u32 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move { (journal.append(i.to_string().into()).await.unwrap(), i) });
    }
    let mut ids = tasks.join_all().await;
    ids.sort_unstable();
    ids.dedup_by_key(|(id, _)| *id);
    assert_eq!(ids.len(), 200);
    drop(journal);
    let found = open(&temp).unsettled();
    for ((id, i), entry) in ids.iter().zip(&found) {
        assert_eq!((*id, i.to_string().into_bytes()), (entry.id, entry.payload.clone()));
    }
}

#[tokio::test]
async fn an_entry_beyond_the_bound_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    journal.append(vec![0; LARGEST_ENTRY]).await.unwrap();
    assert!(journal.append(vec![0; LARGEST_ENTRY + 1]).await.is_err());
    drop(journal);
    assert_eq!(open(&temp).unsettled().len(), 1);
}

#[tokio::test]
async fn entries_get_other_bytes_all_at_once_and_nothing_is_left_of_the_old_ones() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    let mut ids = Vec::new();
    for payload in ["old-1", "old-2", "kept"] {
        ids.push(journal.append(payload.into()).await.unwrap());
    }
    journal.settle(ids[1]).await.unwrap();
    let new = ids[..2].iter().map(|&id| (id, b"new".to_vec())).collect();
    journal.replace(new).await.unwrap();
    assert_eq!(payloads(&journal), [b"new".to_vec(), b"kept".to_vec()]);
    assert!(journal.is_unsettled(ids[0]) && !journal.is_unsettled(ids[1]));
    let bytes = fs::read(temp.path().join("journal")).unwrap();
    assert!(!bytes.windows(4).any(|window| window == b"old-"));
    // What is in the way of the new file is a full disk as far as the journal can tell.
    fs::create_dir(temp.path().join("journal.new")).unwrap();
    assert!(journal.replace(vec![(ids[0], b"newer".to_vec())]).await.is_err());
    assert_eq!(payloads(&journal), [b"new".to_vec(), b"kept".to_vec()]);
    let next = journal.append(b"next".to_vec()).await.unwrap();
    assert!(next > ids[2]);
    drop(journal);
    fs::remove_dir(temp.path().join("journal.new")).unwrap();
    let found = open(&temp);
    assert_eq!(payloads(&found), [b"new".to_vec(), b"kept".to_vec(), b"next".to_vec()]);
}
