//! D-Bus errors, mapped by their names to the kinds of the protocol.

use std::time::Duration;

use iamd_protocol::error::{Kind, PREFIX};
use zbus::{Error, fdo};

use crate::failure::Failure;
use crate::output::text;

/// The beginnings of errors that the bus gives when systemd cannot start the daemon for a call.
const STARTING: [&str; 2] = ["org.freedesktop.systemd1.", "org.freedesktop.DBus.Error.Spawn."];

/// The failure of a call.
pub(super) fn failure(error: &Error) -> Failure {
    match error {
        Error::MethodError(name, message, _) => {
            let message = text::clean(message.as_deref().unwrap_or_default());
            by_name(name.as_str(), message)
        }
        Error::FDO(error) => standard(error),
        Error::InputOutput(_) | Error::Connection(..) => {
            Failure::new(Kind::DaemonUnreachable, "the connection to the bus broke")
        }
        other => not_understood(&other.to_string()),
    }
}

/// The failure of an answer that is none.
pub(super) fn not_understood(why: &str) -> Failure {
    let message = format!("the answer of iamd is not understood: {}", text::clean(why));
    Failure::new(Kind::Internal, message)
}

/// The failure of an answer that did not come in time.
pub(super) fn late(limit: Duration) -> Failure {
    let seconds = limit.as_secs_f64().ceil();
    Failure::new(Kind::DaemonUnreachable, format!("iamd did not answer within {seconds:.0} s"))
}

/// The failure to reach the bus at all.
pub(super) fn connecting(error: &Error) -> Failure {
    let reason = match error {
        Error::Connection(error, _) | Error::InputOutput(error) => error.to_string(),
        other => other.to_string(),
    };
    let message = format!("the system bus cannot be reached: {}", text::clean(&reason));
    let failure = Failure::new(Kind::DaemonUnreachable, message)
        .advise("Administrators: systemctl status dbus");
    match error {
        Error::Connection(error, _) | Error::InputOutput(error) => failure.for_want_of(error),
        _ => failure,
    }
}

/// The failure to have the daemon started.
pub(super) fn starting(error: &Error) -> Failure {
    match error {
        Error::FDO(late) if matches!(**late, fdo::Error::TimedOut(_) | fdo::Error::NoReply(_)) => {
            Failure::new(Kind::DaemonUnreachable, "iamd does not start")
        }
        other => failure(other),
    }
}

/// The failure of this name.
pub(super) fn by_name(name: &str, message: String) -> Failure {
    match Kind::from_bus_name(name) {
        Some(kind) if message.is_empty() => Failure::new(kind, kind.short_name()),
        Some(kind) => Failure::new(kind, message),
        // The bus starts the daemon on demand; these say that it could not.
        None if STARTING.iter().any(|prefix| name.starts_with(prefix)) => {
            Failure::new(Kind::DaemonUnreachable, "iamd is not running on this node")
        }
        None => {
            let short = text::clean(name.strip_prefix(PREFIX).unwrap_or(name));
            let message = if message.is_empty() { short.clone() } else { message };
            Failure::unknown(&short, message)
        }
    }
}

/// The errors of the bus itself and of the D-Bus specification.
fn standard(error: &fdo::Error) -> Failure {
    use fdo::Error as E;
    match error {
        E::ServiceUnknown(_) | E::NameHasNoOwner(_) => {
            Failure::new(Kind::DaemonUnreachable, "iamd is not running on this node")
        }
        E::NoReply(_) | E::Timeout(_) | E::TimedOut(_) | E::Disconnected(_) => {
            Failure::new(Kind::DaemonUnreachable, "iamd went away before it answered")
        }
        E::AccessDenied(text) => Failure::new(
            Kind::NotAuthorized,
            format!("the bus does not let this through: {}", text::clean(text)),
        ),
        E::LimitsExceeded(text) => Failure::new(
            Kind::TooManyRequests,
            format!("the bus refuses more requests: {}", text::clean(text)),
        ),
        E::InvalidArgs(text) => Failure::new(Kind::InvalidArgument, text::clean(text)),
        E::UnknownMethod(_) | E::UnknownInterface(_) | E::UnknownObject(_) => {
            Failure::new(Kind::Internal, "iamd on this node does not know this request")
                .advise("It is of another version than iamctl; see:  iamctl doctor")
        }
        other => {
            let text = text::clean(&other.to_string());
            // A unit that is masked while its alias for the bus is there "failed to load properly".
            let unit = "Unit dbus-org.iamd1.service";
            if STARTING.iter().chain(&[unit]).any(|sign| text.contains(sign)) {
                Failure::new(Kind::DaemonUnreachable, format!("iamd does not start: {text}"))
            } else {
                Failure::new(Kind::Internal, text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_a_newer_daemon_knows_keeps_its_message() {
        let failure = by_name("org.iamd1.Error.MoonInWrongPhase", "wait a week".into());
        assert_eq!(failure.name, "MoonInWrongPhase");
        assert_eq!(failure.message, "wait a week");
        assert_eq!(failure.exit as u8, 1);
    }

    #[test]
    fn a_daemon_that_systemd_cannot_start_is_unreachable() {
        for name in
            ["org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.Spawn.Failed"]
        {
            assert!(
                by_name(name, "Unit dbus-org.iamd1.service not found.".into())
                    .is(Kind::DaemonUnreachable)
            );
        }
    }

    #[test]
    fn a_unit_that_is_masked_is_a_daemon_that_is_not_there() {
        let text = "Unit dbus-org.iamd1.service failed to load properly, please adjust/correct and \
                    reload service manager: File exists";
        assert!(standard(&fdo::Error::FileExists(text.into())).is(Kind::DaemonUnreachable));
    }

    #[test]
    fn every_kind_is_found_by_its_bus_name() {
        for kind in Kind::ALL {
            let failure = by_name(&kind.bus_name(), "m".into());
            assert!(failure.is(*kind));
            assert_eq!(failure.exit, kind.exit());
            assert_eq!(failure.advice, kind.advice());
        }
    }
}
