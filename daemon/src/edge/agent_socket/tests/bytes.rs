//! The bytes: a known exchange, what the clients make of a reply, and any bytes at all.

use std::sync::Mutex;

use proptest::prelude::*;
use secrecy::SecretString;

use super::{
    super::{
        framing::{LONGEST, Message, Opening, Scanner, Sealed},
        reply::Reply,
        request,
    },
    *,
};

/// Gives out what was put in.
struct Script(Mutex<Vec<u8>>);

impl Random for Script {
    fn fill(&self, buffer: &mut [u8]) {
        let mut bytes = self.0.lock().unwrap();
        buffer.copy_from_slice(&bytes[..buffer.len()]);
        bytes.drain(..buffer.len());
    }
}

const CLIENT_KEY: &[u8] = b"j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=";
const OUR_KEY: &[u8] = b"NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlQ=";
const REQUEST: &[u8] = b"96:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX:gF7IY/wo1TTNJAgzNtf5HRjwzVUNDS3cNVGM00XJlPN+xd8JLsLlw1+1CtKrkseylflfwfUTQ1UIDR9kPAX8ISyGOrrs8HHT1qpkWRA9fKmcE6pvGni+1fmV39uXENjk1RRhNBoiyeE5HJHVqHLgnA==";
const REPLY: &[u8] = b"97:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7:dgguJ8gjm1o2bX3rkxhHg56hGKDVdVvb1cp1dBZKwPIiOSam19+zP1HbfwYV6Cm8oDVB1oF4lT1WsjUgfG9Gw32FHy+9GfwaWjz3/dBTJ3C/lvkBiaU3fl/yHXDavz46Kn+xdc4il9cL6bXniW/slUY=";

/// Made with libsodium: client's secret key 00..1f, ours 20..3f, nonces 00..17 and 64..7b.
#[test]
fn the_known_exchange_comes_out_byte_for_byte() {
    let random = Script(Mutex::new((0x20..0x40).chain(0x64..0x7c).collect()));
    let Some(Message::PublicKey(key)) = Opening::default().scan(CLIENT_KEY) else {
        panic!("no key")
    };
    let (ours, channel) = Channel::agree(&key, &random);
    assert_eq!(ours, OUR_KEY);
    let Some(Message::Sealed(sealed)) = Sealed.scan(REQUEST) else { panic!("not sealed") };
    let text = channel.open(&sealed).unwrap();
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        r#"{"request":"access_token","min_valid_period":60,"account":"iam","application_hint":"oidc-token"}"#
    );
    let reply = Reply::access_token(&"tok".to_owned().into(), "https://iam.example/", 1900000000);
    assert_eq!(&*channel.seal(reply, &random), REPLY);
}

/// As liboidcagent-go reads: buffers of 4096 bytes until one is not full, and an end in the place
/// of one is an error. liboidcagent-py stops at the same place.
fn read_as_go_does(reply: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (mut from, mut response) = (reply, Vec::new());
    loop {
        let count = from.len().min(4096);
        if count == 0 {
            return Err("EOF");
        }
        response.extend_from_slice(&from[..count]);
        from = &from[count..];
        if count < 4096 {
            return Ok(response);
        }
    }
}

#[test]
fn the_client_in_go_reads_every_reply_to_its_end() {
    let (_, sealed) = Channel::agree(&[9; 32], &SystemRandom);
    let (mut padded, mut longest) = (0, 0);
    // Around the lengths at which a reply fills one buffer or two, in plain text and sealed.
    for length in (2900..3100).chain(3950..4150).chain(5950..6200).chain(8050..8250) {
        let token = SecretString::from("t".repeat(length));
        for channel in [&Channel::Plain, &sealed] {
            let reply = || Reply::access_token(&token, "https://iam.example/", 1900000000);
            let bytes = channel.seal(reply(), &SystemRandom);
            assert_eq!(read_as_go_does(&bytes).as_deref(), Ok(&bytes[..]), "{length}");
            if let Channel::Plain = channel {
                let json = reply().into_json();
                padded += bytes.len() - json.len();
                assert_eq!(bytes[..json.len()], json[..]);
                serde_json::from_slice::<Value>(&bytes).unwrap();
            } else {
                // It takes the second and third part of three, and needs both.
                assert_eq!(bytes.split(|byte| *byte == b':').count(), 3);
                longest = longest.max(bytes.len());
            }
        }
    }
    assert_eq!(padded, 2, "one space each, at 4096 and 8192");
    assert!(longest > 2 * 4096, "{longest}");
}

#[tokio::test]
async fn a_reply_is_there_as_a_whole_or_not_at_all() {
    let door = Door::open();
    let long = "t".repeat(20_000);
    let now = door.house.clock.wall();
    change(&door, |record| record.access_token = Some(token(&long, now, 3600)));
    let mut sealing = Sealing::begin(door.connect().await).await;
    let request = sealing.seal(r#"{"request":"access_token","account":"wlcg"}"#);
    sealing.stream.write_all(&request).await.unwrap();
    // As oidc-agent's own clients do: wait until there is something, and take what there is.
    let mut reply = vec![0; 100_000];
    let count = loop {
        sealing.stream.readable().await.unwrap();
        match sealing.stream.try_read(&mut reply) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => break read.unwrap(),
        }
    };
    assert_eq!(sealing.open(&reply[..count])["access_token"], long);
    assert!(rest(sealing.stream).await.is_empty());
}

/// What a scanner makes of bytes that come in these pieces; `None`: it waits for more.
fn scanned(scanner: &mut impl Scanner, bytes: &[u8], pieces: &[usize]) -> Option<String> {
    let mut seen = 0;
    for piece in pieces.iter().copied().chain([bytes.len()]) {
        seen = (seen + piece).min(bytes.len());
        if let Some(message) = scanner.scan(&bytes[..seen]) {
            return Some(match message {
                Message::Plain(text) => format!("{text:?}"),
                Message::PublicKey(key) => format!("{key:?}"),
                Message::Sealed(sealed) => format!("{sealed:?}"),
                Message::Nothing => "nothing".into(),
            });
        }
    }
    None
}

/// Bytes that look like something.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let alphabet = prop::sample::select(&b"{}[]\":\\,0123456789abcAB+/= \n"[..]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(alphabet, 0..300),
        ("[0-9]{1,6}:[A-Za-z0-9+/]{30,33}:[A-Za-z0-9+/=]{0,200}").prop_map(String::into_bytes),
        ("[A-Za-z0-9+/]{43}=.{0,5}").prop_map(String::into_bytes),
        Just(REQUEST.to_vec()),
        Just(CLIENT_KEY.to_vec()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_the_same_in_one_piece_and_in_many(
        bytes in likely(),
        pieces in prop::collection::vec(0usize..40, 0..40),
    ) {
        let whole = scanned(&mut Opening::default(), &bytes, &[]);
        let early = scanned(&mut Opening::default(), &bytes, &pieces);
        prop_assert_eq!(whole, early);
        let whole = scanned(&mut Sealed, &bytes, &[]);
        prop_assert_eq!(whole, scanned(&mut Sealed, &bytes, &pieces));
    }

    #[test]
    fn any_text_sealed_is_found_whole_and_opened(
        text in prop::collection::vec(any::<char>(), 0..200),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let text: String = text.into_iter().collect();
        let secret = SecretKey::from([7; 32]);
        let (ours, channel) = Channel::agree(secret.public_key().as_bytes(), &SystemRandom);
        let ours: [u8; 32] = STANDARD.decode(ours).unwrap().try_into().unwrap();
        let mut bytes = sealed(&SalsaBox::new(&PublicKey::from(ours), &secret), &text);
        prop_assert!(Sealed.scan(&bytes[..bytes.len() - 1]).is_none());
        bytes.extend(behind);
        let Some(Message::Sealed(mut found)) = Sealed.scan(&bytes) else { panic!("not found") };
        prop_assert_eq!(&*channel.open(&found).unwrap(), text.as_bytes());
        *found.boxed.last_mut().unwrap() ^= 1;
        prop_assert!(channel.open(&found).is_none());
    }

    #[test]
    fn any_bytes_are_a_request_or_a_refusal(bytes in likely()) {
        let _ = request::parse(&bytes);
    }

    #[test]
    fn any_fields_are_a_request_or_a_refusal(
        name in "(access_token|id_token|scopes|lock|[a-z_]{0,12})",
        field in "(account|issuer|scope|audience|min_valid_period|application_hint|x)",
        value in prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::Null),
            Just(json!([{"a": [1]}])),
        ],
    ) {
        let text = json!({"request": name, field: value}).to_string();
        let _ = request::parse(text.as_bytes());
    }
}

#[test]
fn what_is_too_long_is_nothing_as_soon_as_that_is_clear() {
    let is_nothing = |message| matches!(message, Some(Message::Nothing));
    let endless = [b"{\"a\":\"".as_slice(), &vec![b'x'; LONGEST]].concat();
    assert!(is_nothing(Opening::default().scan(&endless)));
    assert!(is_nothing(Opening::default().scan(&vec![b' '; LONGEST + 1])));
    assert!(Opening::default().scan(&endless[..LONGEST]).is_none());
    assert!(is_nothing(Sealed.scan(b"65537:")));
    assert!(is_nothing(Sealed.scan(b"1000000")));
    assert!(Sealed.scan(b"65536:").is_none());
    assert!(is_nothing(Opening::default().scan(b"GET / HTTP/1.1")));
    assert!(is_nothing(Sealed.scan(b"{\"request\":\"check\"}")));
}
