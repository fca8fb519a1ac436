//! The records of a backup on their way: what is too long, too much or too slow.

use tokio::io::AsyncReadExt as _;

use super::{
    super::upkeep::frames::{Frames, ROW, Records},
    backup::{forged, other, shows, words},
    *,
};
use crate::{
    account::ports::upkeep::Upkeep as _,
    seal::{
        Cost,
        backup::{BEGIN, BackupOpener, BackupSealer, MIDDLE, header_length},
    },
};

fn begun() -> (BackupSealer, Vec<u8>) {
    BackupSealer::begin(&SystemRandom, &words(), Cost::LEAST, b"{}").unwrap()
}

#[tokio::test]
async fn a_record_that_its_length_cannot_say_is_refused_before_any_of_it_is_sent() {
    let (sealer, preamble) = begun();
    let mut sent = Vec::new();
    let mut out = Frames::begin(sealer, &preamble, &mut sent).await.unwrap();
    // More than 4 GiB, of which there are 16 MiB.
    let part = vec![0; 16 << 20];
    let error = out.put(ROW, &vec![&part[..]; 257]).await.unwrap_err();
    shows("a record of a backup is longer than 4 GiB", error);
    assert_eq!(sent, preamble);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_nothing_of_a_backup_ends_it_after_a_minute() {
    let (sealer, preamble) = begun();
    let (mut near, mut far) = tokio::io::duplex(10);
    let Err(error) = Frames::begin(sealer, &preamble, &mut far).await else {
        panic!("more went out than anybody took")
    };
    shows("whoever asked for a backup takes none of it", error);
    // And whoever brings one, and stops.
    let mut taken = [0; 10];
    near.read_exact(&mut taken).await.unwrap();
    let (vault, _temp) = other().await;
    let (_near, mut far) = tokio::io::duplex(10);
    let silent = vault.read_backup(&words(), &mut far).await;
    shows("whoever brings a backup stops in the middle", silent.map(|_| ()).unwrap_err());
}

#[tokio::test]
async fn a_backup_beyond_what_is_held_in_memory_is_refused_at_the_chunk_that_is_too_much() {
    let (vault, _temp) = other().await;
    let bytes = forged(&vault, &[], (0, 0)).await;
    let length = BEGIN + header_length(&bytes[..BEGIN]).unwrap() + MIDDLE;
    let (preamble, mut chunks) = bytes.split_at(length);
    let opener = BackupOpener::begin(preamble, &words()).unwrap();
    let most = 1 << 30;
    // As if so much had come before.
    let mut records = Records::new(opener, &mut chunks, most, most);
    shows("a backup is larger than iamd reads", records.next().await.unwrap_err());
}
