//! Changing an account: at once what the sign-in covers, the rest with the next one.

use iamd_protocol::bus::{AddOptions, ChangeReply, EditOptions};

use super::{
    add::{CMS, WLCG, own, own_client},
    *,
};
use crate::{account::ports::ClientChange, audit};

impl House {
    async fn edit(&self, named: &str, options: EditOptions) -> Result<ChangeReply, ServiceError> {
        self.service.edit(&self.caller(ALICE), named, options).await
    }

    /// alice's account `wlcg` with these scopes granted, a token file, and a client for them.
    async fn with_scopes(&self, text: &str) -> AccountKey {
        let key = self.signed_in_with_token();
        let granted = ScopeSet::parse([text]).unwrap();
        self.change(&key, |record| {
            record.scopes = granted.clone();
            record.scopes_asked = granted.clone();
        });
        for (client, _) in self.vault.clients.lock().unwrap().values_mut() {
            client.scopes = granted.clone();
        }
        self.log_in(ALICE).await;
        key
    }
}

const ALL: &str = "compute.read offline_access openid storage.modify:/ storage.read:/";

fn set(text: &str) -> ScopeSet {
    ScopeSet::parse([text]).unwrap()
}

fn removing(text: &str) -> EditOptions {
    EditOptions { remove_scopes: scopes(text), ..EditOptions::default() }
}

fn adding(text: &str) -> EditOptions {
    EditOptions { add_scopes: scopes(text), ..EditOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn fewer_scopes_take_effect_at_once_and_the_file_follows() {
    let house = House::new();
    let key = house.with_scopes(ALL).await;
    let narrow = set("compute.read offline_access openid storage.read:/");
    house
        .refresh_says(Ok(Tokens { scopes: Some(narrow.clone()), ..tokens("at-less", None, 3600) }));
    let reply = house.edit("", removing("storage.modify:/")).await.unwrap();
    assert_eq!((reply.login_needed, reply.remarks.len()), (false, 0));
    assert_eq!(house.issuers.wanted.lock().unwrap().last().unwrap().scopes, Some(narrow.clone()));
    assert_eq!(house.alices_file().as_deref(), Some("at-less"));
    let record = house.vault.record(&key);
    assert_eq!((&record.scopes, &record.scopes_asked), (&narrow, &narrow));
    assert_eq!(secret(&record), Some("rt0"));
    // A renewal asks for the same, and never for more.
    let force = TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    house.token(force.clone()).await.unwrap();
    assert_eq!(house.issuers.wanted.lock().unwrap().last().unwrap().scopes, Some(narrow));
    // What was taken away comes back without a login: the refresh token has it still.
    let reply = house.edit("", adding("storage.modify:/")).await.unwrap();
    assert!(!reply.login_needed);
    assert_eq!(house.issuers.wanted.lock().unwrap().last().unwrap().scopes, None);
    assert_eq!(house.vault.record(&key).narrowed_from, None);
    assert_eq!(house.audit.of(audit::Kind::AccountChanged).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sub_path_of_what_was_granted_needs_no_login() {
    let house = House::new();
    house.with_scopes(ALL).await;
    let paths = EditOptions { scopes: scopes("storage.read:/atlas"), ..EditOptions::default() };
    assert!(!house.edit("", paths).await.unwrap().login_needed);
    let asked = house.issuers.wanted.lock().unwrap().last().unwrap().scopes.clone();
    assert_eq!(asked, Some(set("offline_access openid storage.read:/atlas")));
    let above =
        EditOptions { scopes: scopes("storage.read:/atlas/../.."), ..EditOptions::default() };
    assert_eq!(kind(house.edit("", above).await), Kind::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_was_not_asked_for_and_is_taken_away_is_told() {
    let house = House::new();
    house.with_scopes("openid storage.read:/").await;
    let reply = house.edit("", removing("storage.raed:/")).await.unwrap();
    let remark =
        "the account did not ask for this, so nothing of it was taken away: storage.raed:/";
    assert_eq!(reply.remarks, [remark]);
    crate::testing::shows_beside("account edit --remove-scope of one that is not there", remark);
}

#[tokio::test(start_paused = true)]
async fn more_scopes_need_a_login_that_asks_for_them_and_ends_the_narrowing() {
    let house = House::new();
    house.make("mine", own_client(), &[]).await.unwrap();
    house.sign_in("mine", sign_in_of("alice-sub")).await;
    let reply = house.edit("mine", adding("compute.read")).await.unwrap();
    assert!(reply.login_needed);
    let key = house.alices("mine");
    assert_eq!(house.vault.record(&key).state, State::SignedIn);
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at-new");
    house.change(&key, |record| record.narrowed_from = Some(set("openid")));
    house.sign_in("mine", sign_in_of("alice-sub")).await;
    assert!(house.issuers.asked_scopes.lock().unwrap().last().unwrap().contains("compute.read"));
    assert_eq!(house.vault.record(&key).narrowed_from, None);
}

#[tokio::test(start_paused = true)]
async fn entirely_other_scopes_leave_the_sign_in_as_it_is_until_the_next() {
    let house = House::new();
    let key = house.with_scopes("openid offline_access storage.read:/").await;
    *house.issuers.scopes_at_issuer.lock().unwrap() = Some(set(ALL));
    let other = EditOptions { scopes: scopes("compute.read"), ..EditOptions::default() };
    assert!(house.edit("", other).await.unwrap().login_needed);
    assert_eq!(house.vault.record(&key).scopes, set("openid offline_access storage.read:/"));
    assert_eq!((house.refreshes(), house.alices_file().as_deref()), (0, Some("at0")));
}

#[tokio::test(start_paused = true)]
async fn another_audience_takes_effect_at_once_and_none_is_the_issuers() {
    let house = House::new();
    let key = house.with_scopes(ALL).await;
    let audiences = |list: &[&str]| EditOptions {
        audiences: Some(list.iter().map(|text| (*text).to_owned()).collect()),
        ..EditOptions::default()
    };
    house.edit("", audiences(&["https://se.example"])).await.unwrap();
    let wanted = house.issuers.wanted.lock().unwrap().last().unwrap().clone();
    assert_eq!(wanted.audiences.to_string(), "https://se.example");
    assert_eq!(house.alices_file().as_deref(), Some("at1"));
    house.edit("", audiences(&[])).await.unwrap();
    assert!(house.vault.record(&key).audiences.is_empty());
    assert_eq!(house.alices_file().as_deref(), Some("at2"));
    // One that this sign-in cannot have.
    house.refresh_says(Err(RefreshError::Audience { text: "invalid_target".into() }));
    let reply = house.edit("", audiences(&["https://no.example"])).await.unwrap();
    assert!(reply.login_needed, "{reply:?}");
    shows_beside("account edit, and the sign-in cannot have the audience", &reply.remarks[0]);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_leaves_no_token_with_more_than_is_asked_for() {
    let house = House::new();
    let key = house.with_scopes(ALL).await;
    house.refresh_says(Err(unreachable().into()));
    house.refresh_says(Err(unreachable().into()));
    let reply = house.edit("", removing("compute.read")).await.unwrap();
    assert!(!reply.login_needed, "{reply:?}");
    shows_beside("account edit, and the issuer does not answer", &reply.remarks[0]);
    house.settle().await;
    assert_eq!(house.alices_file(), None);
    assert!(house.vault.record(&key).access_token.is_none());
    house.later(90).await;
    assert_eq!(house.alices_file().as_deref(), Some("at3"));
}

#[tokio::test(start_paused = true)]
async fn r21_the_own_client_is_changed_at_the_issuer_and_the_newest_token_is_used() {
    let house = House::new();
    house.make("mine", own_client(), &[]).await.unwrap();
    *house.issuers.left_out.lock().unwrap() = set("compute.cancel");
    let change = EditOptions {
        client_name: Some("new name".into()),
        ..adding("compute.read compute.cancel")
    };
    let reply = house.edit("mine", change).await.unwrap();
    assert_eq!(reply.remarks, ["the issuer did not register the client for: compute.cancel"]);
    let all = set("compute.cancel compute.read offline_access openid storage.read:/");
    let sent = ClientChange { scopes: Some(all), name: Some("new name".into()) };
    assert_eq!(*house.issuers.updates.lock().unwrap(), [("client-1".to_owned(), sent)]);
    let client = house.client(&own("mine"), WLCG).unwrap();
    assert_eq!(client.client_name.as_deref(), Some("new name"));
    assert!(client.scopes.contains("compute.read") && !client.scopes.contains("compute.cancel"));
    // Nothing is sent where the client has it all.
    let audiences = EditOptions { audiences: scopes("https://se.test"), ..Default::default() };
    house.edit("mine", audiences).await.unwrap();
    assert_eq!(house.issuers.updates.lock().unwrap().len(), 1);
}

fn rat(house: &House, owner: &ClientOwner, issuer: &str) -> String {
    use secrecy::ExposeSecret as _;
    let client = house.client(owner, issuer).unwrap();
    client.registration_access_token.unwrap().expose_secret().to_owned()
}

#[tokio::test(start_paused = true)]
async fn r20_new_credentials_are_kept_also_when_the_issuer_refuses_the_rest() {
    let house = House::new();
    house.make("mine", own_client(), &[]).await.unwrap();
    let before = house.vault.record(&house.alices("mine"));
    let no = IssuerError::Refused { code: "invalid_client_metadata".into(), text: "no".into() };
    house.issuers.update_errors.lock().unwrap().push_back(no.clone());
    assert_eq!(kind(house.edit("mine", adding("compute.read")).await), Kind::IssuerRefused);
    assert_eq!(rat(&house, &own("mine"), WLCG), "rat-updated");
    house.issuers.read_errors.lock().unwrap().push_back(no);
    assert_eq!(kind(house.edit("mine", adding("compute.read")).await), Kind::IssuerRefused);
    assert_eq!(rat(&house, &own("mine"), WLCG), "rat-read");
    assert_eq!(house.vault.record(&house.alices("mine")).scopes_asked, before.scopes_asked);
    // Without the journal, a store that was away for a moment costs nothing.
    house.vault.journal_fails.store(true, SeqCst);
    house.vault.client_saves_fail.store(true, SeqCst);
    let (edited, ()) = tokio::join!(house.edit("mine", adding("compute.read")), async {
        house.clock.sleep(S / 2).await;
        house.vault.client_saves_fail.store(false, SeqCst);
    });
    edited.unwrap();
    // Where they cannot be kept, nothing more is asked of the issuer.
    house.vault.client_saves_fail.store(true, SeqCst);
    let updates = house.issuers.updates.lock().unwrap().len();
    assert_eq!(kind(house.edit("mine", adding("compute.stop")).await), Kind::StoreUnavailable);
    assert_eq!(house.issuers.updates.lock().unwrap().len(), updates);
}

#[tokio::test(start_paused = true)]
async fn the_users_client_is_changed_for_all_their_accounts() {
    let house = House::new();
    house.make("cms", AddOptions::default(), &[]).await.unwrap();
    house.edit("cms", adding("extra")).await.unwrap();
    let client = house.client(&ClientOwner::User(ALICE), CMS).unwrap();
    assert_eq!(client.scopes.to_string(), "extra offline_access openid");
}

#[tokio::test(start_paused = true)]
async fn the_sites_client_is_not_the_users_to_change() {
    let house = House::new();
    let key = house.with_scopes("openid offline_access storage.read:/").await;
    let name = EditOptions { client_name: Some("mine now".into()), ..EditOptions::default() };
    assert_eq!(kind(house.edit("", name).await), Kind::ClientNotYours);
    assert_eq!(kind(house.edit("", adding("compute.read")).await), Kind::ClientNotYours);
    assert_eq!(house.audit.of(audit::Kind::Denial).len(), 2);
    assert!(house.issuers.updates.lock().unwrap().is_empty());
    // The issuer's people added it meanwhile: what it has is read there.
    *house.issuers.scopes_at_issuer.lock().unwrap() = Some(set(ALL));
    assert!(house.edit("", adding("compute.read")).await.unwrap().login_needed);
    assert!(house.vault.record(&key).scopes_asked.contains("compute.read"));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_runs_would_undo_it_and_nothing_of_bobs_is_touched() {
    let house = House::new();
    house.signed_in();
    house.login("wlcg").await.unwrap();
    assert_eq!(kind(house.edit("wlcg", removing("openid")).await), Kind::LoginPending);
    house.add(BOB, "bob", "bobs", WLCG);
    assert_eq!(kind(house.edit("bobs", removing("openid")).await), Kind::NoSuchAccount);
}

#[tokio::test(start_paused = true)]
async fn r68_a_later_login_keeps_scopes_audiences_client_name_and_default() {
    let house = House::new();
    house.make("other", AddOptions::default(), &[]).await.unwrap();
    let options = AddOptions {
        scopes: scopes("compute.read"),
        audiences: scopes("https://se.example"),
        make_default: Some(true),
        ..own_client()
    };
    house.make("mine", options, &[]).await.unwrap();
    house.sign_in("mine", sign_in_of("alice-sub")).await;
    let before = house.vault.record(&house.alices("mine"));
    house
        .sign_in(
            "",
            Tokens { refresh_token: Some("rt-2".to_owned().into()), ..sign_in_of("alice-sub") },
        )
        .await;
    house.settle().await;
    let after = house.vault.record(&house.alices("mine"));
    assert_eq!(secret(&after), Some("rt-2"));
    assert_eq!(house.revoked(), ["rt-new"]);
    assert_eq!(after.scopes_asked, before.scopes_asked);
    assert_eq!(after.audiences, before.audiences);
    assert_eq!((after.client_owner, after.client_id), (own("mine"), before.client_id));
    assert_eq!(house.service.show(&house.caller(ALICE), "").await.unwrap().name, "mine");
    assert_eq!(house.vault.accounts.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_per_user_is_not_changed_beyond_what_a_site_without_own_clients_has_it_for() {
    let house = House::and("[users]\nown_clients = false\n");
    house.make("cms", AddOptions::default(), &[]).await.unwrap();
    let beyond = house.edit("cms", adding("compute.read")).await.unwrap_err();
    assert_eq!(beyond.kind, Kind::DeniedByPolicy);
    shows("users.own_clients = false, and a scope beyond the issuer's file", beyond);
    let name = EditOptions { client_name: Some("mine all mine".into()), ..EditOptions::default() };
    let named = house.edit("cms", name).await.unwrap_err();
    assert_eq!(named.kind, Kind::DeniedByPolicy);
    shows("users.own_clients = false, and a name for the client", named);
    assert_eq!(*house.issuers.updates.lock().unwrap(), []);
    assert_eq!(house.audit.of(audit::Kind::Denial).len(), 2);
    // What the site's file asks for by now is the site's own wish.
    let file = house.dir.path().join("shipped/cms.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let wider = text.replace("\"openid\",", "\"openid\", \"compute.read\",");
    std::fs::write(&file, wider).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    assert!(house.edit("cms", adding("compute.read")).await.is_ok());
    assert_eq!(house.issuers.updates.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r54_a_client_that_does_not_say_whose_it_is_is_its_accounts_and_no_later_users() {
    let house = House::new();
    house.make("cms", AddOptions::default(), &[]).await.unwrap();
    for (client, _) in house.vault.clients.lock().unwrap().values_mut() {
        client.user = None;
    }
    // The account that signed in with it says whose it is.
    house.edit("cms", adding("compute.read")).await.unwrap();
    assert_eq!(house.issuers.updates.lock().unwrap().len(), 1);
    house.users.0.lock().unwrap().insert(ALICE, "eve".into());
    let at_cms = AddOptions { issuer: Some("cms".into()), ..AddOptions::default() };
    house.make("eves", at_cms, &[]).await.unwrap();
    let record = house.vault.record(&house.alices("eves"));
    assert_eq!(record.client_id.as_deref(), Some("client-2"));
    let client = house.client(&ClientOwner::User(ALICE), CMS).unwrap();
    assert_eq!(client.user.as_deref(), Some("eve"));
}

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Issuers and clients", when, error);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_an_account_that_a_rule_stops_is_made_and_says_why_there_is_no_token() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nscopes = [\"storage.read:/\"]\n");
    let key = house.with_scopes("compute.read offline_access openid").await;
    let audiences = EditOptions { audiences: scopes("https://se.test"), ..Default::default() };
    let reply = house.edit("", audiences).await.unwrap();
    assert_eq!(house.vault.record(&key).audiences.to_string(), "https://se.test");
    shows_beside("account edit, and a rule keeps the account from tokens", &reply.remarks[0]);
}

/// alice's account `own` with a client of its own for two scopes, signed in.
async fn with_own_client(house: &House) -> AccountKey {
    let scopes = scopes("storage.read:/ compute.read");
    house.make("own", AddOptions { scopes, ..own_client() }, &[]).await.unwrap();
    let granted = set("compute.read offline_access openid storage.read:/");
    let signed_in = Tokens { scopes: Some(granted), ..sign_in_of("alice-sub") };
    house.sign_in("own", signed_in).await;
    house.alices("own")
}

fn registered(house: &House) -> String {
    house.client(&own("own"), WLCG).unwrap().scopes.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_is_taken_away_is_taken_from_the_accounts_own_client_too() {
    let house = House::new();
    with_own_client(&house).await;
    let reply = house.edit("own", removing("compute.read")).await.unwrap();
    assert_eq!((reply.remarks, reply.login_needed), (vec![], false));
    let left = set("offline_access openid storage.read:/");
    let sent = ClientChange { scopes: Some(left.clone()), name: None };
    assert_eq!(*house.issuers.updates.lock().unwrap(), [("client-1".to_owned(), sent)]);
    assert_eq!(registered(&house), left.to_string());
    assert_eq!(house.issuers.wanted.lock().unwrap().last().unwrap().scopes, Some(left));
    // A path below what it has needs the whole; the same list again changes nothing.
    let paths = || EditOptions { scopes: scopes("storage.read:/atlas"), ..Default::default() };
    house.edit("own", paths()).await.unwrap();
    assert_eq!(house.issuers.updates.lock().unwrap().len(), 1);
    // By a list that has less, and back again.
    house.edit("own", adding("compute.read")).await.unwrap();
    assert!(registered(&house).contains("compute.read"));
    house.edit("own", paths()).await.unwrap();
    assert_eq!(registered(&house), "offline_access openid storage.read:/ storage.read:/atlas");
}

#[tokio::test(start_paused = true)]
async fn what_a_sign_in_still_asks_for_stays_with_its_client_and_so_does_what_others_use() {
    let house = House::new();
    let key = with_own_client(&house).await;
    // Nothing of what is asked for now was granted: the sign-in stays as it is until the next one.
    let other = EditOptions { scopes: scopes("compute.stop"), ..EditOptions::default() };
    assert!(house.edit("own", other).await.unwrap().login_needed);
    assert!(house.vault.record(&key).narrowed_from.is_none());
    let all = "compute.read compute.stop offline_access openid storage.read:/";
    assert_eq!(registered(&house), all);
    // One that other accounts use too is not narrowed.
    house.make("shared", AddOptions::default(), &[]).await.unwrap();
    let before = house.issuers.updates.lock().unwrap().len();
    let reply = house.edit("shared", removing("compute.read")).await.unwrap();
    // Nor did it ask for that scope, which is told.
    assert!(matches!(&reply.remarks[..], [told] if told.ends_with("taken away: compute.read")));
    assert_eq!(house.issuers.updates.lock().unwrap().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_the_issuer_does_not_narrow_keeps_nobody_from_the_change_and_is_told() {
    let house = House::new();
    let key = with_own_client(&house).await;
    *house.issuers.keeps_scopes.lock().unwrap() = set("compute.read");
    let reply = house.edit("own", removing("compute.read")).await.unwrap();
    assert_eq!(reply.remarks.len(), 1);
    let when =
        "account edit takes a scope away, and the issuer leaves it to the account's own client";
    shows_beside(when, &reply.remarks[0]);
    house.issuers.update_errors.lock().unwrap().push_back(unreachable());
    let reply = house.edit("own", removing("compute.read")).await.unwrap();
    let when = "account edit takes a scope away, and the account's own client cannot be changed";
    shows_beside(when, &reply.remarks[0]);
    assert_eq!(house.vault.record(&key).scopes, set("offline_access openid storage.read:/"));
    assert!(registered(&house).contains("compute.read"));
}
