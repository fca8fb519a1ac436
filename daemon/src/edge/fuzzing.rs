//! Whatever comes in: a frame of the PAM socket, the body of a D-Bus call.

use iamd_protocol::{
    bus::{
        AddOptions, BackupOptions, DrainOptions, EditOptions, LoginOptions, PasswordFlowOptions,
        RekeyOptions, RemoveOptions, RestoreOptions, RevokeOptions, TokenOptions, UnlockOptions,
    },
    pam::{self, Reply, Request},
    token,
};
use zbus::wire::{
    LE, Type,
    serialized::{Context, Data},
};

/// A frame, of either direction and of either socket that has frames.
pub fn pam_frame(bytes: &[u8]) {
    if let Ok(request) = pam::read::<Request>(&mut &bytes[..]) {
        let again = pam::encode(&request).and_then(|frame| pam::read::<Request>(&mut &frame[..]));
        assert!(again.is_ok_and(|again| again == request), "not the same again");
    }
    match pam::read::<Reply>(&mut &bytes[..]) {
        Ok(reply) => drop(pam::encode(&reply)),
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
    if let Ok(asked) = pam::read::<token::Request>(&mut &bytes[..]) {
        let (account, options) = asked.clone().into_options();
        assert_eq!(token::Request::new(&account, options), asked, "another question on the bus");
    }
    if let Ok(reply) = pam::read::<token::Reply>(&mut &bytes[..]) {
        drop(pam::encode(&reply));
    }
}

/// The body of a call of each kind.
pub fn bus_arguments(bytes: &[u8]) {
    body::<(String, TokenOptions)>(bytes);
    body::<(String, LoginOptions)>(bytes);
    body::<(String, EditOptions)>(bytes);
    body::<(String, RemoveOptions)>(bytes);
    body::<(String, u32)>(bytes);
    body::<(String, String)>(bytes);
    body::<AddOptions>(bytes);
    body::<UnlockOptions>(bytes);
    body::<RevokeOptions>(bytes);
    body::<DrainOptions>(bytes);
    body::<PasswordFlowOptions>(bytes);
    body::<RekeyOptions>(bytes);
    body::<BackupOptions>(bytes);
    body::<RestoreOptions>(bytes);
}

fn body<T: serde::de::DeserializeOwned + Type>(bytes: &[u8]) {
    let data = Data::new(bytes, Context::new(LE, 0));
    let _ = data.deserialize::<T>();
}
