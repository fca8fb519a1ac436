//! Fills a state directory with accounts, through the vault and the seal as the daemon does, for the
//! bench (tests/bench): `iamd-fill DIRECTORY FIRST_UID COUNT ISSUER`. Each account is called `test`,
//! belongs to the user `crowdNNNNNN` of the next uid, is signed in, and has a refresh token and an
//! access token of the size that issuers' tokens have. None of them is worth anything at an issuer.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use iamd::{
    account::{
        AccessToken, ClientOwner, Event, Owner, Record, ScopeSet, Subject, UnixTime,
        ports::{Revision, Vault},
    },
    clock::{Clock, Random, SystemClock, SystemRandom},
    service::vault::StoreVault,
};

type Error = Box<dyn std::error::Error>;

/// How long the access tokens are valid: no bench lasts so long.
const LIFE: u64 = 86_400;
const SCOPES: &str = "openid profile offline_access storage.read:/ storage.modify:/ compute.read";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match fill(&words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "iamd-fill: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn fill(words: &[String]) -> Result<(), Error> {
    let [directory, first_uid, count, issuer] = words else {
        return Err("usage: iamd-fill DIRECTORY FIRST_UID COUNT ISSUER".into());
    };
    let (first_uid, count): (u32, u32) = (first_uid.parse()?, count.parse()?);
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) =
        (Arc::new(SystemClock), Arc::new(SystemRandom));
    let directory = PathBuf::from(directory);
    let vault = StoreVault::open(&directory, None, Arc::clone(&random), Arc::clone(&clock)).await?;
    for number in 0..count {
        let owner = Owner { uid: first_uid + number, user: format!("crowd{:06}", number + 1) };
        let record = account(owner, issuer, clock.wall(), random.as_ref())?;
        vault.save_account(&record, Revision::ABSENT).await?;
    }
    // What was sealed opens: the last one, as a daemon reads it.
    let last = first_uid + count.saturating_sub(1);
    let found = vault.accounts_of(last).await?;
    match found.as_slice() {
        [(_, Ok(stored))] if stored.value.access_token.is_some() => Ok(()),
        _ if count == 0 => Ok(()),
        _ => Err("an account that was written does not open".into()),
    }
}

fn account(
    owner: Owner,
    issuer: &str,
    now: UnixTime,
    random: &dyn Random,
) -> Result<Record, Error> {
    let sub = format!("{:032x}", owner.uid);
    let mut record = Record::new(owner, "test".parse()?, issuer.to_owned(), ClientOwner::Site);
    record.state = record.state.after(Event::SignedIn);
    record.client_id = Some("site".into());
    record.scopes = ScopeSet::parse([SCOPES])?;
    record.scopes_asked = record.scopes.clone();
    record.subject = Some(Subject { sub, ..Subject::default() });
    record.signed_in_at = Some(now);
    record.refreshed_at = Some(now);
    record.refresh_token = Some(text(random, 43).into());
    record.access_token = Some(AccessToken {
        token: format!("{}.{}.{}", text(random, 60), text(random, 500), text(random, 342)).into(),
        issued_at: now,
        expires_at: UnixTime(now.0 + LIFE),
        scopes: record.scopes.clone(),
    });
    Ok(record)
}

/// Characters of base64url that mean nothing.
fn text(random: &dyn Random, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect()
}
