//! An account, its tokens, and changes to it.

use super::Act::{Nothing, Run, SignIn};
use super::{FILES, GEN, Step, TOKEN, step};

pub(super) const STEPS: &[Step] = &[
    // ---- an account
    step(
        GEN,
        "`oidc-gen NAME`",
        SignIn(
            "echo \"$(oidc-agent)\" > ~/agent && . ~/agent > /dev/null && oidc-gen cms --iss=$ISS --client-id=site \
             --client-secret=site-secret --scope='openid offline_access storage.read:/' --flow=device \
             --redirect-uri=http://localhost:4242 $GEN",
            &["Everything setup correctly"],
        ),
        SignIn("iamctl account add cms --issuer test", &["cms"]),
    ),
    step(
        GEN,
        "`-l`, `--accounts`",
        Run("oidc-gen -l", 0, &["cms"]),
        Run("iamctl account list", 0, &["cms", "signed in"]),
    ),
    step(
        GEN,
        "`-p`, `--print=NAME`",
        Run("oidc-gen -p cms --pw-env", 0, &["\"client_id\"", "\"refresh_token\"", "walk.test"]),
        Run(
            "iamctl account show cms && iamctl account show cms --secrets --json",
            0,
            &["Client", "walk.test", "storage.read:/", "\"refresh_token\":\"ey"],
        ),
    ),
    step(
        GEN,
        "`-v`, `--verbose`",
        Run("oidc-gen -v -p cms --pw-env", 0, &["\"issuer_url\""]),
        Run("iamctl account show cms --json", 0, &["\"issuer\"", "\"client_id\""]),
    ),
    step(
        GEN,
        "`-g`, `--debug`",
        Run("oidc-gen -g -l 2>&1", 0, &["cms"]),
        Run("iamctl doctor; true", 0, &["issuer"]),
    ),
    // ---- tokens
    step(
        TOKEN,
        "`oidc-token NAME`",
        Run("oidc-token cms", 0, &["eyJ"]),
        Run("iamctl token cms", 0, &["eyJ"]),
    ),
    step(
        TOKEN,
        "`oidc-token https://ISSUER`",
        Run("oidc-token $ISS", 0, &["eyJ"]),
        Run("iamctl token $ISS && iamctl token ${ISS%/}", 0, &["eyJ"]),
    ),
    step(
        TOKEN,
        "`-t`, `--time=SEC`",
        // More than the issuer gives: they print what there is, we say so.
        Run("oidc-token -t 7200 cms", 0, &["eyJ"]),
        Run("iamctl token cms -t 600 > /dev/null && iamctl token cms -t 7200", 6, &["7200"]),
    ),
    step(
        TOKEN,
        "`-f`, `--force-new`",
        Run("a=$(oidc-token cms); [ \"$a\" != \"$(oidc-token -f cms)\" ]", 0, &[]),
        Run("a=$(iamctl token cms); [ \"$a\" != \"$(iamctl token cms --force-new)\" ]", 0, &[]),
    ),
    step(
        TOKEN,
        "`-o`, `--token[=VAR]`",
        Run("eval \"$(oidc-token -o=T cms)\"; echo \"${T%%.*}\"", 0, &["eyJ"]),
        Run("T=$(iamctl token cms); echo \"${T%%.*}\"", 0, &["eyJ"]),
    ),
    step(
        TOKEN,
        "`-i`, `--issuer[=VAR]`",
        Run("oidc-token -i cms", 0, &["https://walk.test/"]),
        Run("iamctl token cms --json", 0, &["\"issuer\"", "https://walk.test/"]),
    ),
    step(
        TOKEN,
        "`-e`, `--expires-at[=VAR]`",
        Run("oidc-token -e cms", 0, &["1"]),
        Run("iamctl token cms --json", 0, &["\"expires_at\""]),
    ),
    step(
        TOKEN,
        "`-c`, `--env`",
        Run("eval \"$(oidc-token -c cms)\"; echo \"${OIDC_AT%%.*}\"", 0, &["eyJ"]),
        Run("eval \"$(iamctl token cms --env)\"; echo \"${BEARER_TOKEN%%.*}\"", 0, &["eyJ"]),
    ),
    step(
        TOKEN,
        "`-a`, `--all`",
        Run("oidc-token -a cms", 0, &["eyJ", "https://walk.test/"]),
        Run("iamctl token cms --json", 0, &["\"token\"", "\"issuer\"", "\"expires_at\""]),
    ),
    // 5.2 and later.
    step(
        TOKEN,
        "`--bearer`",
        Nothing,
        Run("iamctl token cms --header", 0, &["Authorization: Bearer eyJ"]),
    ),
    step(
        TOKEN,
        "`--auth-header`, `--auth`",
        Nothing,
        Run("iamctl token cms --header", 0, &["Authorization: Bearer eyJ"]),
    ),
    step(
        TOKEN,
        "`-s`, `--scope=S`",
        Run("oidc-token -s storage.read:/ cms", 0, &["eyJ"]),
        Run("iamctl token cms -s storage.read:/atlas --decode", 0, &["storage.read:/atlas"]),
    ),
    step(
        TOKEN,
        "`--aud=A`",
        Run("oidc-token --aud=https://se.example.org cms", 0, &["eyJ"]),
        Run(
            "iamctl token cms --aud https://se.example.org --aud https://b.example.org --decode",
            0,
            &["https://se.example.org", "https://b.example.org"],
        ),
    ),
    // ---- the account is changed
    step(
        GEN,
        "`--reauthenticate`",
        SignIn("oidc-gen --reauthenticate cms --flow=device $GEN", &[]),
        SignIn("iamctl login cms", &["cms"]),
    ),
    step(
        GEN,
        "`--rename=NEW`",
        Run(
            "oidc-gen --rename=cms2 cms --pw-env && oidc-gen -l && oidc-gen --rename=cms cms2 --pw-env",
            0,
            &["cms2"],
        ),
        Run(
            "iamctl account rename cms cms2 && iamctl token cms2 && iamctl account rename cms2 cms",
            0,
            &["cms2", "eyJ"],
        ),
    ),
    step(
        GEN,
        "`--cnid`, `--client-name-identifier=ID`",
        Nothing,
        Run(
            "iamctl account add named --issuer test --own-client --client-name 'walk one' --no-login \
             && iamctl account edit named --client-name 'walk two' && iamctl account show named \
             && iamctl account remove named --yes",
            0,
            &["walk two"],
        ),
    ),
    step(
        FILES,
        "`default_account` of an issuer",
        Nothing,
        Run("iamctl account default cms && iamctl account list", 0, &["* ", "cms"]),
    ),
];
