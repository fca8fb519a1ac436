//! Watching: what changed since a revision, then what changes.
//!
//! A member that goes away takes its watches with it: another one is asked for what happened after
//! the last change that was told, for as long as it takes. Only what no member knows any more,
//! because it was compacted, ends a watch.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use futures_util::{StreamExt, stream};

use super::{
    Rows,
    link::{Fault, Link},
    pages::LONGEST_PAGE,
};
use crate::{
    account::ports::Revision,
    store::{Change, Changes, StoreError},
};

/// Before a member is asked again after one did not answer or ended a watch.
const PAUSE: Duration = Duration::from_millis(200);

struct Watch {
    link: Arc<Link>,
    rows: Rows,
    prefix: String,
    /// The last revision of which all was told, or is `ready`.
    after: i64,
    ready: VecDeque<Change>,
    stream: Option<WatchStream>,
    /// Said once, until it is back.
    is_away: bool,
    ended: bool,
}

pub(super) fn watch(link: Arc<Link>, rows: Rows, prefix: &str, after: Revision) -> Changes {
    let after = i64::try_from(after.0).unwrap_or(i64::MAX - 1);
    let watch = Watch {
        link,
        rows,
        prefix: prefix.to_owned(),
        after,
        ready: VecDeque::new(),
        stream: None,
        is_away: false,
        ended: false,
    };
    stream::unfold(watch, |mut watch| async move {
        let item = watch.next().await?;
        watch.ended = item.is_err();
        Some((item, watch))
    })
    .boxed()
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Change, StoreError>> {
        while !self.ended {
            if let Some(change) = self.ready.pop_front() {
                return Some(Ok(change));
            }
            let Some(stream) = &mut self.stream else {
                match self.begin().await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(fault) => self.wait(fault).await,
                }
                continue;
            };
            match stream.message().await {
                Ok(Some(told)) => match self.take(&told) {
                    Ok(()) if told.canceled() => self.again().await,
                    Ok(()) => {}
                    Err(error) => return Some(Err(error)),
                },
                Ok(None) | Err(_) => self.again().await,
            }
        }
        None
    }

    async fn begin(&self) -> Result<WatchStream, Fault> {
        let (from, to) = self.rows.range(&self.prefix);
        let options = WatchOptions::new()
            .with_range(to)
            .with_start_revision(self.after.saturating_add(1))
            .with_progress_notify();
        let (from, options) = (&from, &options);
        self.link
            .call(|client, _| async move {
                let mut watch = client.watch_client().max_decoding_message_size(LONGEST_PAGE);
                watch.watch(from.clone(), Some(options.clone())).await
            })
            .await
    }

    /// What a member told: changes, how far it is, or that it does not know that far back.
    fn take(&mut self, told: &WatchResponse) -> Result<(), StoreError> {
        if told.compact_revision() > self.after {
            let after = u64::try_from(self.after).unwrap_or_default();
            return Err(StoreError::Compacted { after });
        }
        if told.canceled() || told.created() {
            return Ok(());
        }
        if self.is_away {
            self.is_away = false;
            tracing::info!("{}: is back", self.link.place());
        }
        for event in told.events() {
            let Some(pair) = event.kv() else { continue };
            let key = self.rows.key_of(pair.key()).map_err(|fault| self.link.error(fault))?;
            let value = match event.event_type() {
                EventType::Put => Some(pair.value().to_vec()),
                EventType::Delete => None,
            };
            let revision = Revision(u64::try_from(pair.mod_revision()).unwrap_or_default());
            self.ready.push_back(Change { revision, key, value });
            // All changes of one revision come together.
            self.after = self.after.max(pair.mod_revision());
        }
        if told.events().is_empty()
            && let Some(header) = told.header()
        {
            // Nothing more happened up to here.
            self.after = self.after.max(header.revision());
        }
        Ok(())
    }

    async fn again(&mut self) {
        self.stream = None;
        self.link.clock.sleep(PAUSE).await;
    }

    async fn wait(&mut self, fault: Fault) {
        if !self.is_away {
            self.is_away = true;
            let error = self.link.error(fault);
            tracing::warn!(%error, "what other nodes change is not seen for now: {error}");
        }
        self.link.clock.sleep(PAUSE).await;
    }
}
