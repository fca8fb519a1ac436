//! Where records go: the journal with fields, or standard error where there is no journal.

use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

/// Changes what is recorded.
pub(super) struct Handle(Option<reload::Handle<EnvFilter, Registry>>);

impl Handle {
    /// Another filter from now on.
    pub(super) fn set_filter(&self, filter: &str) {
        if let Some(handle) = &self.0
            && let Err(error) = handle.reload(self::filter(filter))
        {
            tracing::warn!(%error, "the log filter was not changed");
        }
    }
}

/// Starts recording.
pub(super) fn start(filter: &str) -> Handle {
    let (filter, handle) = reload::Layer::new(self::filter(filter));
    // Field names as they are: IAMD_EVENT, MESSAGE_ID.
    let journal = tracing_journald::layer().ok().map(|layer| layer.with_field_prefix(None));
    let plain = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr).boxed()
    });
    let started = Registry::default().with(filter).with(journal).with(plain).try_init();
    Handle(started.is_ok().then_some(handle))
}

/// The site's filter; audit records pass any filter.
fn filter(text: &str) -> EnvFilter {
    let filter = EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"));
    match format!("{}=info", crate::audit::TARGET).parse() {
        Ok(audit) => filter.add_directive(audit),
        Err(_) => filter,
    }
}
