//! The upkeep of a vault that is kept nowhere: there is nothing to look after.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::account::ports::{VaultError, upkeep::*};

/// A vault in memory has no keys.
pub struct NoUpkeep;

fn nothing_kept() -> VaultError {
    VaultError::Unavailable { text: "nothing is sealed here".into() }
}

#[async_trait]
impl Upkeep for NoUpkeep {
    fn keys(&self) -> Keys {
        Keys { current: "none".into(), from_credential: false, older: vec![] }
    }

    async fn renew_key(&self) -> Result<(), UpkeepError> {
        Err(nothing_kept().into())
    }

    async fn stale(&self) -> Result<Stale, VaultError> {
        Ok(Stale::default())
    }

    async fn reseal(&self, _: &str) -> Result<Resealed, VaultError> {
        Err(nothing_kept())
    }

    async fn reseal_journal(&self) -> Result<(), VaultError> {
        Err(nothing_kept())
    }

    async fn retire(&self) -> Result<Vec<String>, UpkeepError> {
        Err(nothing_kept().into())
    }

    async fn sizes(&self) -> Sizes {
        Sizes::default()
    }

    async fn inspect(&self) -> Result<Inspection, VaultError> {
        Err(nothing_kept())
    }

    async fn accept(&self) -> Result<Vec<String>, VaultError> {
        Err(nothing_kept())
    }

    async fn back_up(
        &self,
        _: About,
        _: &SecretString,
        _: Sink<'_>,
    ) -> Result<Contents, UpkeepError> {
        Err(nothing_kept().into())
    }

    async fn read_backup(
        self: Arc<Self>,
        _: &SecretString,
        _: Source<'_>,
    ) -> Result<Box<dyn Checked>, UpkeepError> {
        Err(nothing_kept().into())
    }
}
