//! What kept an issuer from answering, as far as it tells what to do about it.

/// The kind of a failure on the way to an issuer, or in what it answered. Not for a decision of
/// whether it may pass: only for advice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cause {
    /// None that tells more.
    #[default]
    Other,
    /// The host's name has no address.
    Name,
    /// Nobody takes a connection there, or there is no way to it.
    NoConnection,
    /// Nobody answered an attempt to connect.
    ConnectTimeout,
    /// The certificate is of an authority that this node does not trust.
    Authority,
    /// The certificate has ended.
    Expired,
    /// The certificate does not hold yet.
    NotYetValid,
    /// The certificate is for another name.
    OtherName,
    /// TLS failed in another way.
    Tls,
    /// The connection broke.
    Broken,
    /// It took too long for an answer.
    Slow,
    /// An answer with this status, which is not what was asked for.
    Status(u16),
    /// An answer that should be JSON and is none.
    NotJson,
    /// Metadata of another issuer, or of none.
    OtherIssuer,
}
