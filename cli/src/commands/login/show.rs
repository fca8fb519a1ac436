//! What the user sees of a login: where to sign in, a countdown, how it ended. Or, with `--json`,
//! one object per state.

use iamd_protocol::bus::{AccountInfo, LoginInfo, login_state};

use crate::app::Context;
use crate::args::Login;
use crate::environment::Environment;
use crate::output::stream::{Paint, Size};
use crate::output::{Output, json, text, time};
use crate::{clock, qr};

/// The display of one login.
pub(super) struct Display<'a> {
    output: &'a mut Output,
    environment: &'a Environment,
    args: &'a Login,
    /// Whether it makes an account that is not there yet.
    makes_account: bool,
    /// State and code that are on display.
    shown: Option<(String, Option<String>)>,
    remarks: Vec<String>,
    countdown: bool,
}

impl<'a> Display<'a> {
    /// Nothing shown yet.
    pub(super) fn new(makes_account: bool, args: &'a Login, context: &'a mut Context) -> Self {
        let Context { environment, output, .. } = context;
        Self {
            output,
            environment,
            args,
            makes_account,
            shown: None,
            remarks: Vec::new(),
            countdown: false,
        }
    }

    /// Shows how the login stands, if that is news.
    pub(super) fn state(&mut self, login: &LoginInfo) {
        let news = (login.state.clone(), login.user_code.clone());
        if self.shown.as_ref() == Some(&news) {
            return;
        }
        let is_first = self.shown.replace(news).is_none();
        if self.args.json {
            // A failure is shown as an error, once, when the command ends.
            if login.state != login_state::FAILED {
                self.output.json_line(&json::login(login, self.makes_account));
            }
            return;
        }
        if is_first && self.makes_account && self.args.issuer.is_none() {
            self.output.tell(&new_account(login));
        }
        if login.state == login_state::PENDING {
            self.clear();
            self.remarks(login);
            self.where_to_sign_in(login);
        }
        if self.has_lines_only() && !self.args.no_wait {
            match login.state.as_str() {
                login_state::STARTING => self.output.tell("Asking the issuer."),
                login_state::PENDING => {
                    self.output.tell("Waiting. Ctrl-C leaves the login running.");
                }
                _ => {}
            }
        }
        self.tick(login);
    }

    /// Ctrl-C: the terminal has shown it, and what follows begins a line.
    pub(super) fn interrupted(&mut self) {
        if !self.args.json && self.has_lines_only() {
            self.output.err.line("");
        }
    }

    /// A person at a terminal where no countdown can move.
    fn has_lines_only(&self) -> bool {
        self.output.err.is_terminal() && !self.output.err.can_redraw()
    }

    /// Moves the countdown.
    pub(super) fn tick(&mut self, login: &LoginInfo) {
        if self.args.json || self.args.no_wait || !self.output.err.can_redraw() {
            return;
        }
        let waiting = match (login.state.as_str(), login.expires_at) {
            (login_state::STARTING, _) => "Asking the issuer".to_owned(),
            (login_state::PENDING, Some(at)) => {
                format!("Waiting {}", time::countdown(at.saturating_sub(clock::unix_now())))
            }
            (login_state::PENDING, None) => "Waiting".to_owned(),
            _ => return,
        };
        let hint = "  (Ctrl-C leaves the login running)";
        let columns = self.output.err.columns();
        let fits = login.state == login_state::PENDING && waiting.len() + hint.len() < columns;
        let line = format!(
            "\r{}{}\x1b[K",
            self.output.err.paint(Paint::Bold, &waiting),
            if fits { self.output.err.paint(Paint::Dim, hint) } else { String::new() }
        );
        self.output.err.put(line.as_bytes());
        self.countdown = true;
    }

    /// Takes the countdown away.
    pub(super) fn clear(&mut self) {
        if self.countdown {
            self.output.err.put(b"\r\x1b[K");
            self.countdown = false;
        }
    }

    /// The end that everybody wants.
    pub(super) fn done(&mut self, login: &LoginInfo, account: Option<&AccountInfo>) {
        if self.args.json {
            return;
        }
        self.clear();
        self.remarks(login);
        let name = account.and_then(|account| account.subject_name.as_deref());
        let who = match (name, login.subject.as_deref()) {
            (Some(name), Some(subject)) => format!(" as {name} ({subject})"),
            (Some(who), None) | (None, Some(who)) => format!(" as {who}"),
            (None, None) => String::new(),
        };
        let sentence = format!("Signed in to {}{who}.", issuer(login));
        let wrapped = text::wrap(&sentence, self.output.err.columns());
        let line = self.output.err.paint(Paint::Good, &wrapped);
        self.output.err.line(&line);
        if let Some(file) = account.and_then(|account| account.token_file.as_deref()) {
            self.output.tell(&format!("Your token is in {file}"));
        }
        if let Some(problem) = account.and_then(|account| account.token_file_problem.as_deref()) {
            self.output.tell(&format!("But there is no token file: {problem}"));
        }
    }

    fn remarks(&mut self, login: &LoginInfo) {
        for remark in &login.remarks {
            if !self.remarks.contains(remark) {
                self.output.tell(remark);
                self.remarks.push(remark.clone());
            }
        }
    }

    /// URL and code always, in full and unbroken (RFC 8628 §3.3.1); above them the QR code where
    /// it fits, so that on 80x24 the code to type is not scrolled away.
    fn where_to_sign_in(&mut self, login: &LoginInfo) {
        let columns = self.output.err.columns();
        let title = format!("Sign in to {} for your account {}.", issuer(login), login.account);
        let mut below = Vec::new();
        for (label, value) in [("Open", &login.verification_uri), ("Code", &login.user_code)] {
            if let Some(value) = value {
                let bold = self.output.err.paint(Paint::Bold, value);
                below.push((format!("  {label}  {bold}"), 8 + value.len()));
            }
        }
        // Where there is no countdown, the code says how long it is good for.
        let no_countdown = self.args.no_wait || !self.output.err.can_redraw();
        if let (true, Some(at), Some((code, _))) =
            (no_countdown, login.expires_at, below.last_mut())
        {
            code.push_str(&format!("     ({})", time::span(at.saturating_sub(clock::unix_now()))));
        }
        let started = started_by(self.environment);
        let started = text::wrap(&started, columns);
        let height = |width: usize| width.div_ceil(columns.max(1)).max(1);
        let rows = 2 // the title may take two, the countdown one
            + 1
            + below.iter().map(|(_, width)| height(*width)).sum::<usize>()
            + started.lines().count();
        let qr = self.qr_code(login, rows);
        let title = text::wrap(&title, columns);
        self.output.err.line(&title);
        if qr.is_empty() {
            self.output.err.line("");
        }
        for line in qr.iter().chain(below.iter().map(|(line, _)| line)) {
            self.output.err.line(line);
        }
        if qr.is_empty() {
            self.output.err.line("");
        }
        self.output.err.line(&started);
    }

    /// The QR code, if the terminal can show it together with `rows` lines of text.
    fn qr_code(&self, login: &LoginInfo, rows: usize) -> Vec<String> {
        let err = &self.output.err;
        if self.args.no_qr || !err.has_pictures() {
            return Vec::new();
        }
        let uri = login.verification_uri_complete.as_ref().or(login.verification_uri.as_ref());
        let qr = uri.and_then(|uri| qr::render(uri, err.has_color()));
        match (qr, err.size()) {
            (Some(qr), Some(size)) if fits(&qr, size, rows) => qr.lines,
            _ => Vec::new(),
        }
    }
}

fn fits(qr: &qr::Qr, size: Size, rows: usize) -> bool {
    qr.columns <= size.columns && qr.lines.len() + rows <= size.rows
}

/// What somebody should read who meant an account that is there.
pub(super) fn new_account(login: &LoginInfo) -> String {
    format!(
        "You have no account {} yet: this makes a new one, at {}.",
        login.account,
        issuer(login)
    )
}

/// The issuer as people call it, and its URL when it has no such name.
fn issuer(login: &LoginInfo) -> &str {
    if login.issuer_title.is_empty() { &login.issuer } else { &login.issuer_title }
}

/// Who approves must be able to tell that it is their own login (RFC 8628 §5.4).
fn started_by(environment: &Environment) -> String {
    format!(
        "You start this as {} on {}. Approve nothing that you did not start.",
        environment.user_name(),
        environment.host_name()
    )
}
