//! Why an exchange failed, by the types of the errors and not by their words.

use std::{error::Error, io};

use rustls::CertificateError;

use super::resolver::NoAddress;
use crate::account::ports::Cause;

/// The cause of a failed exchange.
pub(super) fn of(error: &reqwest::Error) -> Cause {
    let found = chain(error).find_map(one);
    match found {
        Some(cause) => cause,
        None if error.is_timeout() && error.is_connect() => Cause::ConnectTimeout,
        None if error.is_timeout() => Cause::Slow,
        None if error.is_connect() => Cause::NoConnection,
        None => Cause::Broken,
    }
}

/// An error and what it came from. An [`io::Error`] leaves out what it carries itself.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| {
        let error: &'e (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inside) => Some(inside as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn one(error: &(dyn Error + 'static)) -> Option<Cause> {
    if error.is::<NoAddress>() {
        return Some(Cause::Name);
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(why) => Some(of_certificate(why)),
        _ => Some(Cause::Tls),
    }
}

const fn of_certificate(why: &CertificateError) -> Cause {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cause::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Cause::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Cause::OtherName
        }
        // An authority of the same name that signed with another key is another one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Cause::Authority,
        _ => Cause::Tls,
    }
}
