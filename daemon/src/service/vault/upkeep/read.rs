//! Reading a backup: everything about it is checked before anything is changed, and then all of it
//! is put into the store in one step, or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{
    super::{
        StoreVault,
        kept::{Kept, SITES_CLIENTS, account_row, key_of_row},
        replay::{Verdict, decide, split},
        sealer::to_json,
        unavailable,
    },
    frames::{END, ENTRY, End, Header, KEYRING, ROW, Records, invalid, read_exact},
    survey::{Survey, Waiting, content},
};
use crate::{
    account::{
        ClientRecord, PasswordFlow, Record, UnixTime,
        ports::{
            Revision, VaultError,
            upkeep::{About, Checked, Contents, PutBack, Source, UpkeepError},
        },
    },
    seal::{
        Bound, Keyring, Kind,
        backup::{BEGIN, BackupError, BackupOpener, MIDDLE, header_length},
    },
    store::Swap,
};

/// The largest backup that is read: it is held in memory, sealed, until it is known to be good.
const LARGEST: u64 = 1 << 30;

/// A backup that is good.
struct Good {
    vault: Arc<StoreVault>,
    keyring: Arc<Keyring>,
    contents: Contents,
    /// As they were sealed when the backup was made.
    rows: BTreeMap<String, Vec<u8>>,
    /// What the journal of the backup makes of rows.
    newer: BTreeMap<String, Newer>,
}

/// What a backup holds: all of it opens, and it is what it says.
pub(super) struct Found {
    keyring: Arc<Keyring>,
    pub(super) contents: Contents,
    rows: BTreeMap<String, Vec<u8>>,
    newer: BTreeMap<String, Newer>,
}

pub(super) async fn checked(
    vault: Arc<StoreVault>,
    passphrase: &SecretString,
    from: Source<'_>,
) -> Result<Box<dyn Checked>, UpkeepError> {
    let (header, preamble) = preamble(from).await?;
    let opener = opened(&vault, passphrase, &preamble).await?;
    let records = Records::new(opener, from, preamble.len() as u64, LARGEST);
    let Found { keyring, contents, rows, newer } =
        inside(vault.sealer.keyring(), header, records).await?;
    Ok(Box::new(Good { vault, keyring, contents, rows, newer }))
}

/// Reads the records; `keyring` is this node's.
pub(super) async fn inside(
    mut keyring: Arc<Keyring>,
    header: Header,
    mut records: Records<'_>,
) -> Result<Found, UpkeepError> {
    let (mut rows, mut entries, mut survey) = (BTreeMap::new(), Vec::new(), Survey::default());
    let mut password_flows = Vec::new();
    let mut first = true;
    let end: End = loop {
        let (kind, body) = records.next().await?;
        match kind {
            KEYRING if first && header.with_keys => {
                let ring = Keyring::from_text(Path::new("the keyring in it"), &body);
                keyring = Arc::new(ring.map_err(|error| wrong(error.to_string()))?);
            }
            ROW if !first || !header.with_keys => {
                let (row, generation, sealed) =
                    row_of(&body).ok_or(invalid(BackupError::Damaged))?;
                let opened = survey.open(&keyring, row, sealed, 0);
                if opened.as_ref().is_some_and(|(_, opened)| opened.generation != generation) {
                    return Err(wrong(format!("{row} is of another time than the rest")));
                }
                if let Some((Kind::PasswordFlow, opened)) = &opened {
                    password_flows.push(content::<PasswordFlow>(opened).map_err(wrong)?);
                }
                if rows.insert(row.to_owned(), sealed.to_vec()).is_some() {
                    return Err(wrong(format!("{row} is in it twice")));
                }
            }
            ENTRY => {
                let row = split(&body).map(|(row, _)| name_of(row));
                let damaged = || invalid(BackupError::Damaged);
                let row =
                    row.map(|name| name.map(str::to_owned).ok_or_else(damaged)).transpose()?;
                if let (Some(entry), Some(row)) = (survey.open_entry(&keyring, &body), row) {
                    entries.push((row, entry));
                }
            }
            END => {
                break serde_json::from_slice(&body).map_err(|_| invalid(BackupError::Damaged))?;
            }
            _ => return Err(invalid(BackupError::Damaged)),
        }
        first = false;
    };
    let (digest, bytes) = records.finish().await?;
    if let Some(error) = survey.unreadable.first() {
        let hint =
            if header.with_keys { "" } else { "; its keys are not in it, and have to be here" };
        return Err(wrong(format!("{error}{hint}")));
    }
    let counts = survey.counts;
    let seen = End { rows: counts.records, entries: counts.journal, sha256: digest };
    if seen != end {
        return Err(wrong("it does not hold what it says that it holds".into()));
    }
    let newer = replayed(&keyring, &rows, entries)?;
    let about = About {
        node: header.node,
        version: header.version,
        made_at: UnixTime(header.made_at),
        with_keys: header.with_keys,
    };
    let contents = Contents {
        about,
        counts,
        keys: header.keys,
        digest: seen.sha256,
        bytes,
        password_flows,
        left_out: Vec::new(),
    };
    Ok(Found { keyring, contents, rows, newer })
}

/// What the journal makes of a row.
enum Newer {
    Account(Box<Record>),
    Client(Box<ClientRecord>),
}

/// What the journal of the backup makes of its accounts and clients, as a replay would. A client
/// that nobody came to use is left to its issuer.
fn replayed(
    keyring: &Keyring,
    rows: &BTreeMap<String, Vec<u8>>,
    entries: Vec<(String, Waiting)>,
) -> Result<BTreeMap<String, Newer>, UpkeepError> {
    let mut newer: BTreeMap<String, Newer> = BTreeMap::new();
    for (row, entry) in entries {
        let entry = match entry {
            Waiting::Account(entry) => *entry,
            Waiting::Client(step) => {
                let stored = match newer.remove(&row) {
                    Some(Newer::Client(client)) => Some(*client),
                    _ => stored_of(keyring, Kind::Client, &row, rows)?,
                };
                if let Some(client) = step.newest(stored.as_ref()).or(stored.as_ref()) {
                    newer.insert(row, Newer::Client(Box::new(client.clone())));
                }
                continue;
            }
        };
        if account_row(&entry.record.key()) != row {
            return Err(wrong(format!("an entry of its journal is not {row}'s")));
        }
        let stored: Option<Record> = match newer.remove(&row) {
            Some(Newer::Account(record)) => Some(*record),
            _ => stored_of(keyring, Kind::Account, &row, rows)?,
        };
        match (decide(entry, stored.as_ref()), stored) {
            (Verdict::Write(record), _) => drop(newer.insert(row, Newer::Account(record))),
            (Verdict::Done | Verdict::Superseded(_), Some(stored)) => {
                newer.insert(row, Newer::Account(Box::new(stored)));
            }
            (Verdict::Done | Verdict::Superseded(_), None) => {}
        }
    }
    Ok(newer)
}

#[async_trait]
impl Checked for Good {
    fn contents(&self) -> &Contents {
        &self.contents
    }

    async fn put_back(self: Box<Self>, replace: bool) -> Result<PutBack, UpkeepError> {
        let vault = Arc::clone(&self.vault);
        vault.is_whole().await?;
        // Nobody writes meanwhile; who did will find another revision.
        let _alone = vault.gate.write().await;
        let waiting = vault.journal.unsettled();
        let mut there: BTreeMap<String, Revision> = BTreeMap::new();
        let mut snapshot = vault.store.snapshot().await.map_err(unavailable)?;
        while let Some(entry) = snapshot.entries.next().await {
            let entry = entry.map_err(unavailable)?;
            there.insert(entry.key, entry.revision);
        }
        // The site's clients come by themselves, ahead of a first login: nobody's sign-in has one yet.
        let nobodys = there.keys().all(|row| row.starts_with(SITES_CLIENTS));
        let is_fresh = nobodys && waiting.is_empty();
        if !(replace || is_fresh) {
            let records = (there.len() + waiting.len()) as u64;
            return Err(UpkeepError::NotEmpty { records });
        }
        let at = |row: &str| there.get(row).copied().unwrap_or(Revision::ABSENT);
        let back: BTreeSet<&String> = self.rows.keys().chain(self.newer.keys()).collect();
        let gone: Vec<&String> = there.keys().filter(|row| !back.contains(row)).collect();
        let (mut written, mut swaps) = (Vec::new(), Vec::new());
        for row in back {
            let (sealed, generation) = self.sealed(row, snapshot.revision)?;
            written.push((row, generation));
            swaps.push(Swap { key: row.clone(), expected: at(row), value: Some(sealed) });
        }
        let removed = |row: &&String| Swap { key: (*row).clone(), expected: at(row), value: None };
        swaps.extend(gone.iter().map(removed));
        let touched = swaps.iter().filter_map(|swap| key_of_row(&swap.key)).collect();
        if !swaps.is_empty() {
            vault.store.swap_all(swaps).await.map_err(unavailable)?;
        }
        {
            let mut seen = vault.sealer.seen();
            gone.iter().for_each(|row| seen.note_removed(row));
            written.into_iter().for_each(|(row, generation)| seen.note(row, generation));
        }
        vault.held.release_all();
        // What the accounts before waited for is theirs, and they are gone.
        for entry in waiting {
            if let Err(error) = vault.journal.settle(entry.id).await {
                tracing::warn!(%error, "a journal entry from before the restore remains: {error}");
            }
        }
        // It is in force, whatever is found now: the caller goes on, and says it.
        let damage = vault.store.damage().await.unwrap_or_else(|error| Some(error.to_string()));
        Ok(PutBack { replaced: there.len() as u64, touched, damage })
    }
}

impl Good {
    /// The row as it is to be written: with this node's key, and as the newest of its place, so
    /// that none of what was there before, or is in the backup, opens any more.
    fn sealed(&self, row: &str, now: Revision) -> Result<(Vec<u8>, u64), UpkeepError> {
        let opened = self.rows.get(row).map(|sealed| self.keyring.open_row(row, sealed));
        let opened = opened.transpose().map_err(|error| wrong(format!("{row}: {error}")))?;
        let sealer = &self.vault.sealer;
        let before = opened.as_ref().map_or(0, |(_, opened)| opened.generation);
        let floor = sealer.seen().floor(row);
        let generation = (before.max(floor) + 1).max(sealer.begin(now));
        let json: Zeroizing<Vec<u8>>;
        let (kind, user, issuer, plaintext) = match (self.newer.get(row), &opened) {
            (Some(Newer::Account(record)), _) => {
                json = to_json(record.as_ref()).map_err(|error| wrong(error.to_string()))?;
                (Kind::Account, Kept::user(record.as_ref()), Kept::issuer(record.as_ref()), &json)
            }
            (Some(Newer::Client(client)), _) => {
                json = to_json(client.as_ref()).map_err(|error| wrong(error.to_string()))?;
                (Kind::Client, Kept::user(client.as_ref()), Kept::issuer(client.as_ref()), &json)
            }
            (None, Some((kind, opened))) => {
                (*kind, opened.user.as_str(), opened.issuer.as_str(), &opened.plaintext)
            }
            (None, None) => return Err(invalid(BackupError::Damaged)),
        };
        let bound = Bound { kind, row, generation, user, issuer };
        let keyring = sealer.keyring();
        let sealed = keyring
            .seal(sealer.random(), &bound, plaintext)
            .map_err(|error| wrong(format!("{row}: {error}")))?;
        keyring.open(kind, row, &sealed).map_err(|error| wrong(format!("{row}: {error}")))?;
        Ok((sealed, generation))
    }
}

/// All that comes before the chunks.
pub(super) async fn preamble(from: Source<'_>) -> Result<(Header, Vec<u8>), UpkeepError> {
    let mut bytes = vec![0; BEGIN];
    match read_exact(from, &mut bytes).await {
        // Shorter than any backup is.
        Err(UpkeepError::Invalid { .. }) => return Err(invalid(BackupError::NotABackup)),
        read => read?,
    }
    let length = header_length(&bytes).map_err(invalid)?;
    bytes.resize(BEGIN + length + MIDDLE, 0);
    read_exact(from, &mut bytes[BEGIN..]).await?;
    let header = serde_json::from_slice(&bytes[BEGIN..BEGIN + length]);
    Ok((header.map_err(|_| invalid(BackupError::NotABackup))?, bytes))
}

async fn opened(
    vault: &StoreVault,
    passphrase: &SecretString,
    preamble: &[u8],
) -> Result<BackupOpener, UpkeepError> {
    let (passphrase, preamble) = (passphrase.clone(), preamble.to_vec());
    let begun = vault.held.derive(move || Ok(BackupOpener::begin(&preamble, &passphrase)));
    match begun.await {
        Ok(opener) => opener.map_err(invalid),
        Err(error) => Err(VaultError::Unavailable { text: error.to_string() }.into()),
    }
}

/// A row's name stands in errors and in the log, and whoever has a passphrase can write a backup.
fn name_of(row: &str) -> Option<&str> {
    (!row.contains(char::is_control)).then_some(row)
}

fn row_of(body: &[u8]) -> Option<(&str, u64, &[u8])> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (row, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (generation, sealed) = rest.split_first_chunk::<8>()?;
    Some((name_of(str::from_utf8(row).ok()?)?, u64::from_be_bytes(*generation), sealed))
}

fn stored_of<T: Kept>(
    keyring: &Keyring,
    kind: Kind,
    row: &str,
    rows: &BTreeMap<String, Vec<u8>>,
) -> Result<Option<T>, UpkeepError> {
    let Some(sealed) = rows.get(row) else { return Ok(None) };
    let opened = keyring.open(kind, row, sealed).map_err(|e| wrong(e.to_string()))?;
    let mut value: T = content(&opened).map_err(wrong)?;
    value.set_generation(opened.generation);
    Ok(Some(value))
}

fn wrong(text: String) -> UpkeepError {
    UpkeepError::Invalid { text: format!("the backup is not whole: {text}") }
}
