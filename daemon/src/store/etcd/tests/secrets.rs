//! What this node shows etcd is in no log, however much an administrator has recorded.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::*;

/// Where the log lines of a test go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_the_password_for_etcd_nor_its_token_nor_a_value_is_in_a_log_line() {
    let Some(etcd) = Etcd::start() else { return };
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // See issuer/tests/transport.rs.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    drop(store(&etcd).await);
    let mut hands = hands(&etcd).await;
    hands.user_add("root", "secret Canary", None).await.unwrap();
    hands.role_add("root").await.unwrap();
    hands.user_grant_role("root", "root").await.unwrap();
    hands.auth_enable().await.unwrap();
    let password = etcd.file("password");
    fs::write(&password, "secret Canary\n").unwrap();
    let user = Some(EtcdUser { name: "root".into(), password });
    let settings = EtcdSettings { user, ..etcd.settings() };
    let said = format!("{settings:?}");
    let guard = tracing::subscriber::set_default(subscriber);
    let store = open(settings).await.unwrap();
    store.compare_and_swap("k", ABSENT, some("value-Canary")).await.unwrap();
    assert_eq!(store.get("k").await.unwrap().unwrap().value, b"value-Canary");
    let held = store.lock("k").await.unwrap();
    assert!(held.is_held().await);
    drop(guard);
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("h2"), "what carries it was recorded");
    assert!(!log.contains("Canary") && !said.contains("Canary"), "{log}");
    // How etcd's simple tokens look: sixteen letters, a point, a number.
    let is_token = |word: &str| {
        word.split_once('.').is_some_and(|(letters, number)| {
            letters.len() == 16
                && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let words = log.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    assert_eq!(words.filter(|word| is_token(word)).count(), 0, "{log}");
}
