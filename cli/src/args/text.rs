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
  iamctl token -s storage.read:/ -t 10m     a token for less, valid for 10 minutes
  iamctl run -- xrdcp root://se//file .     a command that always finds a valid token
  iamctl account add                        another account, step by step";

/// The commands by what they are for, and the exit codes. A test holds that none is missing.
pub(crate) const AFTER: &str = "\
Sign in and out:
  login        Sign in, or see the login that is running
  logout       Sign out: revoke and forget the sign-in, remove the token file
Tokens:
  token        Print an access token
  run          Run a command with a token that is kept fresh while it runs
  status       Show accounts, tokens and the time they have left
Accounts and issuers:
  account      Add, change, see and remove accounts
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
leaves the login running: it can be finished until the code ends.

--flow password asks for your user name and password at the issuer instead, uses them once and keeps \
neither. RFC 9700 says not to do that: a password belongs on the issuer's own page. It works where an \
administrator of this site allowed it for the client, and one of the issuer too; else you are told \
what to send to them. Where the issuer wants a second factor, sign in in a browser.";
pub(crate) const LOGIN: &str = "\
Examples:
  iamctl login                    sign in at the site's default issuer
  iamctl login cms --issuer cms   a second account, at another issuer
  iamctl login --passphrase       seal the account with a passphrase of your own
  iamctl login --flow password    with user name and password, where that is allowed
  iamctl login --cancel           end the login that is running
  iamctl login --off              no notice at login any more";
pub(crate) const LOGOUT: &str = "\
Examples:
  iamctl logout        sign out of the default account
  iamctl logout cms    sign out of the account cms";
pub(crate) const TOKEN_ABOUT: &str = "\
Print an access token, alone on standard output. It never has less validity than asked for with \
--min-valid: if that is not to be had, the exit code is 6 and nothing is printed. A token for fewer \
scopes than asked for comes with a remark; with --strict it is an error, exit code 6. A scope with a \
path may name one below a granted path: storage.read:/atlas where storage.read:/ was granted; a path \
with '..' is refused. Who names an issuer's URL instead of an account means the default account at \
that issuer, or the first by name.\n\n\
A file written with --outfile has mode 0600 and no line break at its end, and takes the place of the \
old one at once; a link, a directory or a file of somebody else is not written to, nor is anything in \
a directory where everybody, or a group that is not yours alone, may rename. It is not renewed: the \
file in $BEARER_TOKEN_FILE is, and that of iamctl run.";
pub(crate) const TOKEN: &str = "\
Examples:
  iamctl token                               the default account's token
  iamctl token cms -s storage.read:/cms      for fewer scopes
  iamctl token --aud https://se.example.org  for one service
  iamctl token --min-valid 10m               valid for 10 minutes at least
  iamctl token --decode                      what the token says
  eval \"$(iamctl token --env)\"               for tools that read BEARER_TOKEN
  curl -H @<(iamctl token --header) URL      not seen in the process list
  iamctl token --header -o h; curl -H @h URL likewise, for any shell";
pub(crate) const RUN_ABOUT: &str = "\
Run a command that finds a valid token in $BEARER_TOKEN_FILE for as long as it runs. The file is the \
command's own, in a directory that only you can enter; it is renewed well before the token expires \
and removed at the end. If the token cannot be had, nothing is run. If it cannot be renewed later, \
that is told once, the command goes on, and the file is removed when its token has expired.\n\n\
It is in $XDG_RUNTIME_DIR where that is set, else in /dev/shm. The one of a session goes after your last \
logout: a job that you leave behind is started with env -u XDG_RUNTIME_DIR iamctl run. A file that \
something removed is there again within half a minute; if that cannot be, it is told.\n\n\
BEARER_TOKEN, which goes before the file, is not passed on. Tools that read nothing else (gfal2 is \
one) get it with --bearer-env; it is the token of the start and is not renewed.\n\n\
Signals sent to iamctl are passed on, but for real-time ones. The exit code is the command's, 128 \
and the number of the signal that ended it, 126 if it cannot be run and 127 if it is not found. If \
it was ended by Ctrl-C or Ctrl-\\, iamctl ends in the same way, so that a loop in a shell ends too.";
pub(crate) const RUN: &str = "\
Examples:
  iamctl run -- xrdcp root://se//file .           a fresh token, however long it takes
  iamctl run -a cms -s storage.read:/cms -- make  another account, for fewer scopes
  iamctl run --bearer-env -- gfal-ls davs://se/   for tools that read BEARER_TOKEN only";
pub(crate) const STATUS_ABOUT: &str = "\
Show accounts, tokens and the time they have left, and logins that are running. With --watch it \
is shown anew until Ctrl-C, on a terminal; with --watch --json an object is printed at each \
change. With --silent nothing is printed and the exit code tells whether a token is to be had: 0 \
there is one, 1 there is no such account or another reason, 3 sign in or unlock the account first, \
4 a rule of the site refuses it, 5 the daemon or the issuer cannot be reached.";
pub(crate) const STATUS: &str = "\
Examples:
  iamctl status                      for people
  iamctl status --watch              until Ctrl-C
  iamctl status -s || iamctl login   sign in when there is no token
  iamctl status --json               for programs";
pub(crate) const ACCOUNT: &str = "\
Examples:
  iamctl account list                        the accounts and their state
  iamctl account add                         a new one, step by step
  iamctl account edit cms --add-scope wlcg   ask for more
  iamctl account default cms                 the one meant when none is named
  iamctl account remove cms                  sign out and forget it
  iamctl login cms                           sign in again, nothing else changed";
pub(crate) const ACCOUNT_SHOW_ABOUT: &str = "\
Show all about one account: issuer, client and whose it is, grants, scopes asked for and granted, \
audiences, who signed in and when, how long token and sign-in last, the token file. Nothing secret, \
but with --secrets, where the site's policy allows it: refresh token, client secret and \
registration access token then stand on standard output.";
pub(crate) const ACCOUNT_SHOW: &str = "\
Examples:
  iamctl account show
  iamctl account show cms --json";
pub(crate) const ACCOUNT_ADD_ABOUT: &str = "\
Add an account and sign in. Without --issuer and with no name that is an issuer's, it asks step by \
step on a terminal: issuer, name, scopes (Tab completes what the issuer offers), audience; Enter \
takes what stands in brackets, Ctrl-C leaves everything as it was. What an option says is not asked. \
Without a terminal nothing is asked. No secret is an option's value: each comes from a file \
descriptor, as in 3< FILE, or is asked for without being shown.

--from-env reads the client from IAM_DEVICE_CODE_CLIENT_ID, IAM_DEVICE_CODE_CLIENT_SECRET and \
IAM_DEVICE_CODE_CLIENT_SCOPES, else from IAM_CLIENT_ID, IAM_CLIENT_SECRET and IAM_CLIENT_SCOPES; the \
audience from IAM_CLIENT_AUDIENCE; the issuer from IAM_TOKEN_ENDPOINT, IAM_ENDPOINT or \
IAM_DEVICE_CODE_ENDPOINT. Options go before variables.";
pub(crate) const ACCOUNT_ADD: &str = "\
Examples:
  iamctl account add                            step by step
  iamctl account add cms                        at the issuer cms, all else by default
  iamctl account add atlas-rw --issuer atlas -s max
  iamctl account add own --issuer https://iam.example.org --client-id 7f1c
  iamctl account add own --issuer wlcg --client-id 7f1c --client-secret-fd 3 3< secret
  iamctl account add --from-env                 as the IAM scripts are configured
  iamctl account add cms --passphrase           sealed with a passphrase from the start";
pub(crate) const ACCOUNT_EDIT_ABOUT: &str = "\
Change what an account asks for. More scopes come with the next sign-in only: on a terminal it is \
offered at once. The registration at the issuer is changed too where the client is the account's \
own, to fewer scopes as well as to more. To sign in again with nothing changed:  iamctl login ACCOUNT";
pub(crate) const ACCOUNT_EDIT: &str = "\
Examples:
  iamctl account edit cms --add-scope storage.modify:/
  iamctl account edit cms -s max --login
  iamctl account edit --aud https://se.example.org
  iamctl account edit cms --client-name 'CMS on login1'";
pub(crate) const IMPORT: &str = "\
Examples:
  iamctl account import oidc-agent --dry-run      what there is, and what would be done
  iamctl account import oidc-agent                all accounts
  iamctl account import oidc-agent cms --remove   one, and its file goes
  iamctl account import oidc-agent cms --as cms2 --password-fd 3 3< FILE";
pub(crate) const IMPORT_ABOUT: &str = "\
Reads the files that oidc-gen wrote: in $OIDC_CONFIG_DIR, else ~/.config/oidc-agent, else \
~/.oidc-agent. Their password is asked for once and tried for all of them; files that gpg encrypted \
are decrypted by gpg. Each account keeps its client, scopes and audiences. Its refresh token is used \
once at the issuer, and iamd keeps what comes back: oidc-agent should not use its copy any more. An \
account that fails leaves nothing behind, and the exit code is that of the first that failed; where the \
issuer had replaced its refresh token by then, it is said that the file is of no use. The files are kept \
unless you say --remove, or say yes where you are asked; one with what its client at the issuer can be \
deleted with is kept also with --remove.";
pub(crate) const ACCOUNT_RENAME: &str = "\
Examples:
  iamctl account rename cms cms-old";
pub(crate) const ACCOUNT_DEFAULT: &str = "\
Examples:
  iamctl account default cms";
pub(crate) const ACCOUNT_REMOVE_ABOUT: &str = "\
Remove an account: the sign-in is revoked, the client that was registered for it alone is deleted at \
the issuer, the token file is removed. It is gone here whatever the issuer says; what could not be \
deleted there is said. On a terminal it asks first; elsewhere --yes is needed.";
pub(crate) const ACCOUNT_REMOVE: &str = "\
Examples:
  iamctl account remove cms
  iamctl account remove cms --keep-client --yes";
pub(crate) const LOCK: &str = "\
Examples:
  iamctl account lock          the default account
  iamctl account lock --all    every account that has a passphrase";
pub(crate) const UNLOCK: &str = "\
Examples:
  iamctl account unlock                  until it is locked, or iamd ends
  iamctl account unlock cms --for 8h     for a working day";
pub(crate) const PASSPHRASE_ABOUT: &str = "\
Set, change or take off the passphrase of an account. An account with a passphrase is sealed with \
it: after a restart of iamd nobody, root included, gets a token of it until it is unlocked. A \
passphrase that is lost cannot be recovered; sign out with iamctl logout, and in again.";
pub(crate) const PASSPHRASE: &str = "\
Examples:
  iamctl account passphrase              set it, or change it
  iamctl account passphrase --remove     take it off
  iamctl login --passphrase              a first sign-in that is sealed from the start";
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
  iamctl admin revoke alice          end all sign-ins of a user
  iamctl admin drain                 take no new sign-ins, before a maintenance
  iamctl admin password-flow list    who may be signed in by password
  iamctl admin policy explain alice  what a user may do, and which line decided
  iamctl admin backup /root/iamd.backup
  iamctl admin audit --user alice    what was recorded of a user
  iamctl admin reload";
pub(crate) const PASSWORD_FLOW_ABOUT: &str = "\
The password flow (RFC 6749, section 4.3) is off for every client until it is enabled here, for one \
client of one issuer. RFC 9700 says not to use it: users give this node their password at the issuer. \
There are two locks: this one, and the issuer's. With --at-issuer the second is opened too, where the \
issuer is an INDIGO IAM and you have an account there with the scopes iam:admin.read and \
iam:admin.write: the client is read, sent back with the grant, read again and compared, and put back \
as it was if anything else changed. Public clients are refused unless iamd.toml has \
policy.public_password. Whoever enables something is on record.";
pub(crate) const PASSWORD_FLOW: &str = "\
Examples:
  iamctl admin password-flow list
  iamctl admin password-flow enable --issuer wlcg --client 7f1c
  iamctl admin password-flow enable --issuer wlcg --client 7f1c --at-issuer
  iamctl admin password-flow disable --issuer wlcg --client 7f1c";
pub(crate) const POLICY_ABOUT: &str = "\
Rules say who may do what: which issuers, ways to sign in and scopes, how long, how many. They stand \
in /etc/iamd/policy.d; iamd.toml(5) explains them.";
pub(crate) const POLICY_CHECK_ABOUT: &str = "\
Read what is on disk, as a reload would, and change nothing. Every mistake is named with file, line \
and key, two rules that contradict with both their places; the exit code is then 1. Where there is \
none, each line says for whom what holds, the wider circles first: of two for the same user the \
later one decides.";
pub(crate) const POLICY_EXPLAIN_ABOUT: &str = "\
Say what holds for a user by the configuration in force, the groups of the name service included.";
pub(crate) const POLICY: &str = "\
Examples:
  iamctl admin policy check             before systemctl reload iamd
  iamctl admin policy explain alice
  iamctl admin policy explain alice --json";
pub(crate) const AUDIT_ABOUT: &str = "\
Show what iamd recorded on this node, oldest first: who signed in where, which tokens were given to \
whom, what was refused, what administrators did. A record never holds a token, only the beginning of \
its hash. The records are in the journal: who may read that, may read them, and a line that somebody \
else wrote there is not shown, whatever it says. What an event means and what to do:  journalctl -x";
pub(crate) const AUDIT: &str = "\
Examples:
  iamctl admin audit --user alice              the last of a user
  iamctl admin audit --event denial -f         refusals, as they come
  iamctl admin audit --since yesterday --json  for a report
  iamctl admin audit --issuer cms --event sign-in --since -7d";
pub(crate) const REVOKE_ABOUT: &str = "\
End the sign-ins that fit all that is named. Here they end at once: no token is given out any more, \
and the token files are gone. Then their issuers are asked to revoke them; what an issuer does not \
confirm is told, and ends by itself there. Running logins that fit are cancelled too. Users can \
sign in again, unless the site's policy says otherwise.";
pub(crate) const REVOKE: &str = "\
Examples:
  iamctl admin revoke alice               all of a user's
  iamctl admin revoke alice --issuer cms  a user's at one issuer
  iamctl admin revoke --client ID -n      who signed in with a client: only show them
  iamctl admin revoke --issuer cms -y     everybody's at an issuer, without a question";
pub(crate) const DRAIN_ABOUT: &str = "\
Take no new sign-ins on this node, until --off or the next reboot. Nobody is kept from logging in; \
sign-ins that are there go on being renewed, and logins that are running can be finished.";
pub(crate) const DRAIN: &str = "\
Examples:
  iamctl admin drain --reason 'new kernel at noon'
  iamctl admin drain --show
  iamctl admin drain --off";
pub(crate) const REKEY: &str = "\
Examples:
  iamctl admin rekey             a new key; seal every record with it
  iamctl admin rekey --status    how that stands
  iamctl admin rekey --retire    afterwards: take the old key out of the keyring";
pub(crate) const REKEY_ABOUT: &str = "\
Users and their tokens go on meanwhile, and accounts with a passphrase stay locked. The work is \
the daemon's: Ctrl-C ends this command only. What was interrupted goes on with the next start of \
iamd, or when this command is run again. The old key stays in the keyring until --retire. Where \
the key comes from a systemd credential, put a new line on top of it and restart iamd first. The \
exit code is 1 when an older key seals something still.";
pub(crate) const BACKUP: &str = "\
Examples:
  iamctl admin backup /root/iamd.backup
  iamctl admin backup --passphrase-fd 3 /root/iamd.backup 3< /root/words
  iamctl admin backup --verify /root/iamd.backup    check it, change nothing";
pub(crate) const BACKUP_ABOUT: &str = "\
The file is one moment of all accounts, clients and settings, with the keyring, sealed with the \
passphrase: keep the two apart. With --without-keys the keyring has to be kept besides. Users go \
on meanwhile. An issuer that replaces refresh tokens makes the ones in a backup useless with their \
next use: back up often, and see iamd(8).";
pub(crate) const RESTORE: &str = "\
Examples:
  iamctl admin restore /root/iamd.backup              on a fresh node
  iamctl admin restore --replace /root/iamd.backup    give up what is here";
pub(crate) const RESTORE_ABOUT: &str = "\
Everything about the backup is checked first; then all of it is in force, or nothing is changed. \
Stop iamd on the node that it comes from, for ever: a refresh token that is replaced with each use \
can be used by one node only, and two make the issuer end the sign-in.";
pub(crate) const STORE: &str = "\
Examples:
  iamctl admin store check
  iamctl admin store check --json
  iamctl admin store accept";
pub(crate) const STORE_ACCEPT_ABOUT: &str = "\
A record that is older than one that was in its place before does not open: whoever can write the \
store could have put it back. iamctl admin restore needs this not; it is for who put an older \
iamd.db in its place by hand and means it. It is recorded which records hold by that.";
pub(crate) const STATS: &str = "\
Examples:
  iamctl admin stats
  iamctl admin stats --json | jq .refreshes_failed";
pub(crate) const COMPLETIONS: &str = "\
Examples:
  iamctl completions bash > ~/.local/share/bash-completion/completions/iamctl
  source <(iamctl completions bash)   # in ~/.bashrc, where bash-completion is not installed
  iamctl completions zsh > ~/.zfunc/_iamctl
  iamctl completions fish > ~/.config/fish/completions/iamctl.fish";
