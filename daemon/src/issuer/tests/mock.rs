//! A scripted issuer: plain HTTP/1.1, over TLS where a test wants it. What is not scripted is
//! answered with a 404 page, but for an INDIGO-IAM-like discovery document.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    account::IssuerProfile,
    clock::{Clock as _, SystemClock},
};

pub(super) const OPENID: &str = "GET /.well-known/openid-configuration";

/// What the mock does with a request.
#[derive(Clone)]
pub(super) enum Answer {
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Read the request, then close: it may have been acted on.
    Hangup,
    /// Say nothing for a while.
    Silence,
}

/// JSON with a status.
pub(super) fn json_reply(status: u16, body: Value) -> Answer {
    let headers = vec![("content-type", "application/json".to_owned())];
    Answer::Reply { status, headers, body: body.to_string().into_bytes() }
}

/// A text with a status.
pub(super) fn page(status: u16, body: &str) -> Answer {
    Answer::Reply { status, headers: vec![], body: body.as_bytes().to_vec() }
}

/// An OAuth error.
pub(super) fn oauth(status: u16, code: &str, description: &str) -> Answer {
    json_reply(status, json!({ "error": code, "error_description": description }))
}

impl Answer {
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// A request that came.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// Method and path.
    pub(super) what: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Request {
    /// The values of a form field.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }

    pub(super) fn field(&self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    script: HashMap<String, VecDeque<Answer>>,
    seen: Vec<Request>,
    /// At once, now and at most.
    running: (usize, usize),
}

/// The issuer.
pub(super) struct Mock {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Mock {
    /// On plain HTTP.
    pub(super) async fn start() -> Self {
        Self::serve("http://127.0.0.1", "", None).await
    }

    /// Below a path.
    pub(super) async fn below(path: &str) -> Self {
        Self::serve("http://127.0.0.1", path, None).await
    }

    /// On TLS, as `https://HOST:PORT/`.
    pub(super) async fn tls(host: &str, tls: TlsAcceptor) -> Self {
        Self::serve(&format!("https://{host}"), "", Some(tls)).await
    }

    async fn serve(base: &str, path: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let mock = Self { url: format!("{base}:{port}{path}/"), state: Arc::clone(&state) };
        let place = OPENID.replace("GET ", &format!("GET {path}"));
        mock.on(&place, [json_reply(200, mock.discovery())]);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&state), tls.clone());
                tokio::spawn(connection(stream, tls, state));
            }
        });
        mock
    }

    /// Answers `what` with these in turn; the last one again and again.
    pub(super) fn on(&self, what: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.state.lock().unwrap().script.insert(what.to_owned(), answers);
    }

    /// Everything that was asked, but for the default discovery.
    pub(super) fn seen(&self, what: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|request| request.what == what).cloned().collect()
    }

    /// The most requests at once.
    pub(super) fn most_at_once(&self) -> usize {
        self.state.lock().unwrap().running.1
    }

    pub(super) fn profile(&self) -> IssuerProfile {
        super::profile(&self.url)
    }

    /// As INDIGO IAM's.
    pub(super) fn discovery(&self) -> Value {
        let url = &self.url;
        json!({
            "issuer": url,
            "token_endpoint": format!("{url}token"),
            "device_authorization_endpoint": format!("{url}devicecode"),
            "registration_endpoint": format!("{url}iam/api/client-registration"),
            "revocation_endpoint": format!("{url}revoke"),
            "jwks_uri": format!("{url}jwk"),
            "scim_endpoint": format!("{url}scim"),
            "scopes_supported": ["openid"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        })
    }

    /// The discovery document with changes; null removes.
    pub(super) fn discover_as(&self, changes: Value) {
        let mut document = self.discovery();
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => document.as_object_mut().unwrap().remove(key),
                value => document.as_object_mut().unwrap().insert(key.clone(), value.clone()),
            };
        }
        self.on(OPENID, [json_reply(200, document)]);
    }

    /// As an issuer that follows the RFCs.
    pub(super) fn without_dialect(&self) {
        self.discover_as(json!({ "scim_endpoint": null }));
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    match tls {
        None => exchange(stream, state).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                exchange(stream, state).await;
            }
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, state: Arc<Mutex<State>>) {
    let Some(request) = read(&mut stream).await else { return };
    let answer = {
        let mut state = state.lock().unwrap();
        state.running.0 += 1;
        state.running.1 = state.running.1.max(state.running.0);
        let answers = state.script.get_mut(&request.what);
        let answer = answers.and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        state.seen.push(request);
        answer.unwrap_or_else(|| page(404, "<html>Not Found</html>"))
    };
    // So that requests that could overlap do.
    SystemClock.sleep(Duration::from_millis(20)).await;
    state.lock().unwrap().running.0 -= 1;
    match answer {
        Answer::Hangup => {}
        Answer::Silence => SystemClock.sleep(Duration::from_secs(20)).await,
        Answer::Reply { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
            if !headers.iter().any(|(name, _)| name.starts_with("content-length")) {
                head.push_str(&format!("content-length: {}\r\n", body.len()));
            }
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
            let _ = stream.shutdown().await;
        }
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let what = lines.next()?.rsplit_once(' ')?.0.to_owned();
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<_, _> =
        pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&buffer[..count]);
    }
    Some(Request { what, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
