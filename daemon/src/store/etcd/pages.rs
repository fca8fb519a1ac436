//! Reading many keys, a page at a time, all as they were at one revision.

use std::sync::Arc;

use etcd_client::{GetOptions, KeyValue};

use super::link::{Fault, Link};

/// Keys and values in one page: a value is 1.5 MiB at most (etcd's own limit for a request).
const ROWS: i64 = 64;
/// Keys alone.
const KEYS: i64 = 4096;
/// Bytes of a page.
pub(super) const LONGEST_PAGE: usize = 128 << 20;

/// A part of the keys, in the order of their bytes.
pub(super) struct Page {
    pub(super) pairs: Vec<KeyValue>,
    /// The store's revision when the first page was read.
    pub(super) revision: i64,
    /// How many keys there are on all pages from this one on.
    pub(super) count: u64,
}

/// The pages of a range.
pub(super) struct Pages {
    link: Arc<Link>,
    from: Vec<u8>,
    to: Vec<u8>,
    keys_only: bool,
    limit: i64,
    revision: i64,
    ended: bool,
}

impl Pages {
    /// Those from `from` on and before `to`, as they are when the first page is read.
    pub(super) fn of(link: Arc<Link>, (from, to): (Vec<u8>, Vec<u8>), keys_only: bool) -> Self {
        let limit = if keys_only { KEYS } else { ROWS };
        Self { link, from, to, keys_only, limit, revision: 0, ended: false }
    }

    /// The next page; the first is there even if it is empty.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Fault> {
        while !self.ended {
            let mut options = GetOptions::new()
                .with_range(self.to.clone())
                .with_limit(self.limit)
                .with_revision(self.revision);
            if self.keys_only {
                options = options.with_keys_only();
            }
            let (from, options) = (&self.from, &options);
            let asked = self.link.call(|client, _| async move {
                let mut kv = client.kv_client().max_decoding_message_size(LONGEST_PAGE);
                kv.get(from.clone(), Some(options.clone())).await
            });
            let mut answer = match asked.await {
                Err(Fault::TooLong) if self.limit > 1 => {
                    self.limit /= 2;
                    continue;
                }
                answer => answer?,
            };
            if self.revision == 0 {
                self.revision = answer.header().map_or(0, |header| header.revision());
            }
            let count = u64::try_from(answer.count()).unwrap_or_default();
            self.ended = !answer.more();
            let pairs = answer.take_kvs();
            match pairs.last() {
                Some(last) => self.from = [last.key(), &[0]].concat(),
                None => self.ended = true,
            }
            return Ok(Some(Page { pairs, revision: self.revision, count }));
        }
        Ok(None)
    }
}
