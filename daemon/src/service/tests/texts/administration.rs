//! What an administrator asks for and is not done, and what users hear of it.

use iamd_protocol::bus::{DrainOptions, RevokeOptions};

use super::*;

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Administration", when, error);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained() {
    let house = House::new();
    let drain = |reason: &str| {
        let reason = Some(reason.to_owned());
        house.service.set_drain(By::ITSELF, DrainOptions { on: true, reason })
    };
    shows("iamctl admin drain with a reason that no terminal shows", told(drain("at \u{1b}[2J")));
    drain("new kernel at noon").unwrap();
    shows("a login at a node that takes no new sign-ins", told(house.login("").await));
    let file = house.dir.path().join("draining");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let mut unkept = told(drain("again"));
    unkept.message = unkept.message.replace(house.dir.path().to_str().unwrap(), "/var/lib/iamd");
    shows("iamctl admin drain, and the decision cannot be written down", unkept);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_named_whose_sign_ins_are_to_end() {
    let house = House::new();
    let all = house.service.revoke_sign_ins(By::ITSELF, RevokeOptions::default()).await;
    shows("iamctl admin revoke without a word of whose", told(all));
    let nowhere = RevokeOptions { issuer: Some("nowhere".into()), ..RevokeOptions::default() };
    let nowhere = house.service.revoke_sign_ins(By::ITSELF, nowhere).await;
    shows("iamctl admin revoke of an issuer that there is not", told(nowhere));
}
