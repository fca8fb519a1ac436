//! Reading everything: what opens and what does not, and what belongs to what.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::super::{
    StoreVault,
    kept::{ACCOUNTS, CLIENTS, LEFTOVERS, client_row, key_of_row, password_flow_row},
    replay::{self, split},
    unavailable,
};
use crate::{
    account::{
        ClientRecord, PasswordFlow, PendingLogin, Record, Rotation, Settings,
        ports::{
            ClientStep, Leftover, VaultError,
            upkeep::{Counts, Inspection},
        },
    },
    seal::{Keyring, Kind, OpenError, Opened},
    store::Entry,
};

/// What was seen so far.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) counts: Counts,
    pub(super) unreadable: Vec<String>,
    /// Accounts that signed in with a client of the store: their row, and the client's.
    uses: BTreeMap<String, String>,
    clients: BTreeSet<String>,
}

impl StoreVault {
    /// Everything as it is now.
    pub(super) async fn survey(&self) -> Result<Survey, VaultError> {
        let keyring = self.sealer.keyring();
        let mut survey = Survey::default();
        // Before the rows, as with every read: what is written meanwhile is newer.
        let floors = self.sealer.seen().floors("");
        let mut snapshot = self.store.snapshot().await.map_err(unavailable)?;
        while let Some(entry) = snapshot.entries.next().await {
            let Entry { key, value, .. } = entry.map_err(unavailable)?;
            survey.open(&keyring, &key, &value, floors.get(&key).copied().unwrap_or_default());
        }
        for entry in self.journal.unsettled() {
            survey.open_entry(&keyring, &entry.payload);
        }
        Ok(survey)
    }
}

impl Survey {
    /// A row: opened, counted and related; `None` when it does not open, which is noted.
    pub(super) fn open(
        &mut self,
        keyring: &Keyring,
        row: &str,
        sealed: &[u8],
        floor: u64,
    ) -> Option<(Kind, Opened)> {
        let opened = keyring.open_row(row, sealed).map_err(|error| error.to_string());
        let checked = opened.and_then(|(kind, opened)| {
            if opened.generation < floor {
                return Err("it is an older version than the one seen before".to_owned());
            }
            self.relate(kind, row, &opened).map(|()| (kind, opened))
        });
        match checked {
            Ok(found) => Some(found),
            Err(error) => {
                self.unreadable.push(format!("{row}: {error}"));
                None
            }
        }
    }

    /// An entry of the journal; `None` when it does not open, which is noted.
    pub(super) fn open_entry(&mut self, keyring: &Keyring, payload: &[u8]) -> Option<Waiting> {
        let garbled = OpenError::Format("it is cut off or garbled");
        let opened = split(payload).ok_or((String::new(), garbled)).and_then(|(row, sealed)| {
            let opened = keyring.open(Kind::Journal, row, sealed);
            opened.map(|opened| (row, opened)).map_err(|error| (format!(" for {row}"), error))
        });
        let entry = match opened {
            Ok((row, opened)) => {
                waiting(row, &opened).map_err(|error| (format!(" for {row}"), error))
            }
            Err((of, error)) => Err((of, error.to_string())),
        };
        match entry {
            Ok(entry) => {
                self.counts.journal += 1;
                Some(entry)
            }
            Err((of, error)) => {
                self.unreadable.push(format!("an entry of the journal{of}: {error}"));
                None
            }
        }
    }

    fn relate(&mut self, kind: Kind, row: &str, opened: &Opened) -> Result<(), String> {
        match kind {
            Kind::Account => {
                let record: Record = content(opened)?;
                if key_of_row(row) != Some(record.key()) {
                    return Err("it is another account".to_owned());
                }
                self.counts.accounts += 1;
                let rotates = record.rotation == Rotation::Rotates && record.state.may_refresh();
                self.counts.rotating += u64::from(rotates);
                if record.client_id.is_some()
                    && let Some(client) = client_row(&record.client_owner, &record.issuer)
                {
                    self.uses.insert(row.to_owned(), client);
                }
            }
            Kind::Client if row.starts_with(LEFTOVERS) => drop(content::<Leftover>(opened)?),
            Kind::Login => drop(content::<PendingLogin>(opened)?),
            Kind::PasswordFlow => {
                let flow: PasswordFlow = content(opened)?;
                if password_flow_row(&flow.issuer, &flow.client_id) != row {
                    return Err("it is the leave of another client".to_owned());
                }
            }
            Kind::Client => {
                let client: ClientRecord = content(opened)?;
                if client_row(&client.owner, &client.issuer).as_deref() != Some(row) {
                    return Err("it is another client".to_owned());
                }
                self.counts.clients += 1;
                self.clients.insert(row.to_owned());
            }
            Kind::Settings => drop(content::<Settings>(opened)?),
            Kind::Journal | Kind::Floors => {
                return Err("an entry of the journal is no row".to_owned());
            }
        }
        self.counts.records += 1;
        Ok(())
    }

    /// What there is to say.
    pub(super) fn inspection(self) -> Inspection {
        let used: BTreeSet<&String> = self.uses.values().collect();
        let of_site = |client: &String| client.starts_with(SITE);
        let unused =
            self.clients.iter().filter(|client| !of_site(client) && !used.contains(client));
        let without = self.uses.iter().filter(|(_, client)| !self.clients.contains(*client));
        Inspection {
            damage: None,
            counts: self.counts,
            accounts_without_client: without
                .map(|(row, _)| row.strip_prefix(ACCOUNTS).unwrap_or(row).to_owned())
                .collect(),
            clients_without_account: unused.cloned().collect(),
            unreadable: self.unreadable,
        }
    }
}

/// What waits in the journal to be written.
pub(super) enum Waiting {
    /// An account with its newest tokens.
    Account(Box<replay::Entry>),
    /// What becomes of a client.
    Client(Box<ClientStep>),
}

fn waiting(row: &str, opened: &Opened) -> Result<Waiting, String> {
    if row.starts_with(CLIENTS) {
        return content(opened).map(|step| Waiting::Client(Box::new(step)));
    }
    content(opened).map(|entry| Waiting::Account(Box::new(entry)))
}

/// A client that is shared may be waiting for its first user.
const SITE: &str = "clients/site/";

/// What is sealed, without quoting any of it in an error.
pub(super) fn content<T: DeserializeOwned>(opened: &Opened) -> Result<T, String> {
    serde_json::from_slice(&opened.plaintext).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("its content is not what this iamd writes (line {line} column {column})")
    })
}
