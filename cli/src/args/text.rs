//! The longer texts of the help and the manual: examples first, then what a person asks next.

/// What the program is, for the manual.
pub(crate) const ABOUT: &str = "\
iamctl gives you OAuth2 access tokens on a shared cluster. Sign in once, in a browser on any \
device; from then on every login session has a fresh token in a file that only you can read \
($BEARER_TOKEN_FILE), renewed while the session lives. iamctl signs you in, prints tokens, and \
shows how things stand. The work is done by the daemon iamd; the refresh token never leaves it.";

/// The layout of the first page: examples before everything else.
pub(crate) const ROOT_TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}{after-help}

Options:
{options}";

/// The layout of a command's help.
pub(crate) const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// The first examples.
pub(crate) const EXAMPLES: &str = "\
Examples:
  iamctl login                              sign in, in a browser on any device
  iamctl status                             what there is, and for how long
  curl -H @<(iamctl token --header) URL     use a token
  iamctl token -s storage.read:/ -t 10m     a token for less, valid for 10 minutes";

/// The commands by what they are for, and the exit codes. A test holds that none is missing.
pub(crate) const AFTER: &str = "\
Sign in and out:
  login        Sign in, or see the login that is running
  logout       Sign out: revoke and forget the sign-in, remove the token file
Tokens:
  token        Print an access token
  status       Show accounts, tokens and the time they have left
What there is:
  account      See the accounts
  issuer       See the issuers of this site
When something is wrong:
  doctor       Find out what is wrong, and how to put it right
For administrators:
  admin        Administer this node
For your shell:
  completions  Print the completion script for a shell
  help         Print this page, or the help of a command

Exit codes:
  0  done                4  the site's policy forbids it
  1  failed              5  daemon or issuer cannot be reached
  2  wrong command line  6  validity, scope or audience not to be had
  3  sign-in needed";

pub(crate) const LOGIN_ABOUT: &str = "\
Sign in, or see the login that is running. Shows a URL and a code, as a QR code too where the \
terminal can show one; open it in a browser on any device and the token comes by itself. Ctrl-C \
leaves the login running: it can be finished until the code ends.";
pub(crate) const LOGIN: &str = "\
Examples:
  iamctl login                    sign in at the site's default issuer
  iamctl login cms --issuer cms   a second account, at another issuer
  iamctl login --cancel           end the login that is running
  iamctl login --off              no notice at login any more";
pub(crate) const LOGOUT: &str = "\
Examples:
  iamctl logout        sign out of the default account
  iamctl logout cms    sign out of the account cms";
pub(crate) const TOKEN_ABOUT: &str = "\
Print an access token, alone on standard output. It never has less validity than asked for with \
--min-valid: if that is not to be had, the exit code is 6 and nothing is printed.";
pub(crate) const TOKEN: &str = "\
Examples:
  iamctl token                               the default account's token
  iamctl token cms -s storage.read:/cms      for fewer scopes
  iamctl token --aud https://se.example.org  for one service
  iamctl token --min-valid 10m               valid for 10 minutes at least
  eval \"$(iamctl token --env)\"               for tools that read BEARER_TOKEN
  curl -H @<(iamctl token --header) URL      not seen in the process list";
pub(crate) const STATUS_ABOUT: &str = "\
Show accounts, tokens and the time they have left, and logins that are running. With --watch it \
is shown anew until Ctrl-C, on a terminal; with --watch --json an object is printed at each \
change. With --silent nothing is printed and the exit code tells whether a token is to be had: 0 \
there is one, 3 sign in or unlock the account first, 5 the daemon or the issuer cannot be reached.";
pub(crate) const STATUS: &str = "\
Examples:
  iamctl status                      for people
  iamctl status --watch              until Ctrl-C
  iamctl status -s || iamctl login   sign in when there is no token
  iamctl status --json               for programs";
pub(crate) const ACCOUNT: &str = "\
Examples:
  iamctl account list
  iamctl account show cms";
pub(crate) const ISSUER: &str = "\
Examples:
  iamctl issuer list
  iamctl issuer show wlcg";
pub(crate) const DOCTOR_ABOUT: &str = "\
Find out what is wrong, and how to put it right: the daemon, the PAM module, the issuers, the \
token files, and which token XRootD, gfal2, Rucio, HTCondor, scitokens, davix and curl would find. The exit code is 1 if \
there is a problem, 0 if there are warnings only.";
pub(crate) const DOCTOR: &str = "\
Examples:
  iamctl doctor          for people
  iamctl doctor --json   for a report";
pub(crate) const ADMIN: &str = "\
Examples:
  iamctl admin users
  iamctl admin sessions --json
  iamctl admin reload";
pub(crate) const COMPLETIONS: &str = "\
Examples:
  iamctl completions bash > ~/.local/share/bash-completion/completions/iamctl
  iamctl completions zsh > ~/.zfunc/_iamctl
  iamctl completions fish > ~/.config/fish/completions/iamctl.fish";
