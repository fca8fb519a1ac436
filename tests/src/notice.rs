//! What a user reads at login: the notice with the address to open and the code to enter.

use crate::error::{Error, Result};

/// The sign-in that a notice asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The address to open.
    pub uri: String,
    /// The code to enter there.
    pub code: String,
    /// The notice itself, its lines as shown.
    pub text: String,
}

impl Notice {
    /// The notice in what a login printed, if there is one with an address and a code.
    pub fn find(printed: &str) -> Option<Notice> {
        let printed = printed.replace("\r\n", "\n");
        let begin = printed.find("iamd: ")?;
        let shown = &printed[begin..];
        let uri = word_after(shown, "Open")?;
        let code = word_after(shown, "Code")?;
        // The notice goes on in indented lines.
        let more = shown.lines().skip(1).take_while(|line| line.starts_with(' '));
        let text: Vec<&str> = shown.lines().take(1).chain(more).collect();
        uri.starts_with("https://").then(|| Notice { uri, code, text: text.join("\n") })
    }

    /// As [`find`](Notice::find), or an error that shows what was printed.
    pub fn expect(printed: &str) -> Result<Notice> {
        Notice::find(printed)
            .ok_or_else(|| Error::Wrong(format!("no notice with address and code in: {printed}")))
    }
}

/// The word that follows `label` and white space; complete, so something must stand behind it.
fn word_after(text: &str, label: &str) -> Option<String> {
    let rest = text.split_once(&format!(" {label} "))?.1.trim_start();
    let end = rest.find(char::is_whitespace)?;
    Some(rest[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Linux login1\r\niamd: sign in to WLCG and this node has your access token.\r\n  \
        Open  https://wlcg.cloud.cnaf.infn.it/device     Code  AB12CD     (10 min)\r\n  \
        You started this by logging in to login1 as alice.\r\nalice@login1:~$ ";

    #[test]
    fn a_notice_gives_address_code_and_its_own_lines() {
        let notice = Notice::find(PRINTED).unwrap();
        assert_eq!(notice.uri, "https://wlcg.cloud.cnaf.infn.it/device");
        assert_eq!(notice.code, "AB12CD");
        assert!(notice.text.starts_with("iamd: sign in") && notice.text.ends_with("as alice."));
    }

    #[test]
    fn a_login_without_a_notice_or_with_half_of_one_gives_none() {
        assert_eq!(Notice::find("Linux login1\r\nalice@login1:~$ "), None);
        let half = PRINTED.find("CD ").unwrap();
        assert_eq!(Notice::find(&PRINTED[..half]), None);
    }
}
