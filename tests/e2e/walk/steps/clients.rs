//! Clients, scopes and refresh tokens of one's own.

use super::Act::{Nothing, Run, SignIn};
use super::{FILES, GEN, Step, step};

pub(super) const STEPS: &[Step] = &[
    // ---- other clients
    step(
        GEN,
        "`-m`, `--manual`",
        // What the first step made: a client that was registered before.
        Run("oidc-gen -p cms --pw-env", 0, &["\"client_id\":\t\"site\""]),
        SignIn(
            "iamctl account add given --issuer test --client-id site \
             --client-secret-fd 3 3<<<site-secret",
            &["given"],
        ),
    ),
    step(GEN, "`--client-id=ID`", Nothing, Run("iamctl account show given", 0, &["site"])),
    step(
        GEN,
        "`--client-secret=S`",
        // Anybody on the node may read the argument; ours is not to be had that way.
        Nothing,
        Run(
            "iamctl account add other --issuer test --client-id site --client-secret site-secret \
             --no-login",
            2,
            &["--client-secret"],
        ),
    ),
    step(
        GEN,
        "`-f`, `--file=FILE`",
        Nothing,
        Run("iamctl account show given", 0, &["given", "walk.test"]),
    ),
    step(
        GEN,
        "`--pub`",
        Nothing,
        SignIn(
            "iamctl account add pub --issuer test --public-client && iamctl account show pub \
             && iamctl account remove pub --yes",
            &["site-public"],
        ),
    ),
    step(
        GEN,
        "`--iss`, `--issuer=URL`",
        Nothing,
        Run(
            "iamctl account add byurl --issuer $ISS --no-login && iamctl account show byurl \
             && iamctl account remove byurl --yes",
            0,
            &["https://walk.test/"],
        ),
    ),
    step(
        GEN,
        "`--scope=S`",
        Nothing,
        Run(
            "iamctl account add scoped --issuer test --own-client -s compute.read -s storage.read:/ --no-login \
             && iamctl account show scoped",
            0,
            &["compute.read", "storage.read:/"],
        ),
    ),
    step(
        GEN,
        "`--scope-all`, `--scope-max`",
        Nothing,
        Run(
            "iamctl account edit scoped -s max --no-login && iamctl account show scoped \
             && iamctl account remove scoped --yes",
            0,
            &["compute.cancel", "compute.modify"],
        ),
    ),
    step(
        GEN,
        "`--at`, `--access-token=AT`",
        Nothing,
        Run(
            "iamctl account add initial --issuer test --own-client --no-login \
             --initial-access-token-fd 3 3< <(iamctl token cms) && iamctl account remove initial --yes",
            0,
            &["initial"],
        ),
    ),
    step(
        GEN,
        "`--aud`, `--audience=A`",
        Nothing,
        Run(
            "iamctl account edit cms --aud https://se.example.org && iamctl token cms --decode \
             && iamctl account edit cms --no-aud",
            0,
            &["https://se.example.org"],
        ),
    ),
    step(
        GEN,
        "`--rt`, `--refresh-token=RT`",
        // The refresh token of theirs, taken over. The site's client keeps it as it is.
        Run(
            "oidc-gen -p cms --pw-env | sed -n 's/.*\"refresh_token\":[^\"]*\"\\([^\"]*\\)\".*/\\1/p' > ~/rt \
             && oidc-gen rt --iss=$ISS --client-id=site --client-secret=site-secret --rt=$(cat ~/rt) \
             --scope='openid offline_access storage.read:/' --redirect-uri=http://localhost:4242 $GEN",
            0,
            &["Everything setup correctly"],
        ),
        Run(
            "iamctl account add taken --issuer test --client-id site --client-secret-fd 3 \
             --refresh-token-fd 4 3<<<site-secret 4<~/rt && iamctl token taken",
            0,
            &["eyJ"],
        ),
    ),
    step(
        GEN,
        "`--rt-env`, `--refresh-token-env[=VAR]`",
        Nothing,
        Run(
            "RT=$(cat ~/rt); iamctl account add env --issuer test --client-id site \
             --client-secret-fd 3 --refresh-token-fd 4 3<<<site-secret 4<<<\"$RT\" && iamctl token env",
            0,
            &["eyJ"],
        ),
    ),
    step(
        GEN,
        "`-w`, `--flow=refresh`",
        Nothing,
        Run("iamctl account show env && iamctl account show taken", 0, &["site"]),
    ),
    step(
        GEN,
        "`-w`, `--flow=password`",
        Nothing,
        // Nobody allowed it here: what to send to whom is told before a password is typed.
        Run(
            "iamctl login taken --flow password < /dev/null",
            4,
            &["iamctl admin password-flow enable --issuer test --client site"],
        ),
    ),
    step(
        GEN,
        "`--op-username`, `--op-password`",
        Nothing,
        Run(
            "iamctl login taken --flow password --user alice --password-fd 3 3<<<words",
            4,
            &["not enabled for the client site"],
        ),
    ),
    step(
        FILES,
        "`OIDC_REFRESH_TOKEN`",
        Nothing,
        // A refresh token that is dead: nothing is left half-done.
        Run(
            "OIDC_REFRESH_TOKEN=dead; iamctl account add dead --issuer test --client-id site \
             --client-secret-fd 3 --refresh-token-fd 4 3<<<site-secret 4<<<\"$OIDC_REFRESH_TOKEN\"; \
             code=$?; iamctl account list | grep dead && exit 99; exit $code",
            3,
            &[],
        ),
    ),
    step(GEN, "`--only-at`", Nothing, Run("iamctl token cms", 0, &["eyJ"])),
    step(
        GEN,
        "`--no-save`",
        Nothing,
        Run(
            "iamctl token given > ~/at && iamctl account remove given --yes && test -s ~/at",
            0,
            &[],
        ),
    ),
    step(FILES, "`pubclient`", Nothing, Run("iamctl issuer show test", 0, &["Public client  yes"])),
    step(
        FILES,
        "`issuer.config`, `issuer.config.d/`",
        Nothing,
        Run("iamctl issuer list", 0, &["test", "wlcg"]),
    ),
    step(
        FILES,
        "`default-min-lifetime` in `config`",
        Nothing,
        Run("iamctl token cms -t 60", 0, &["eyJ"]),
    ),
    step(
        FILES,
        "`contact`, `user_client`, `register`, `config_endpoint` of an issuer",
        Nothing,
        Run("iamctl issuer show test", 0, &["walk.test"]),
    ),
    step(
        FILES,
        "`NO_COLOR`, `OIDC_AGENT_NOCOLOR`",
        Nothing,
        Run(
            "colours() { script -qec \"$1\" /dev/null | grep -c $'\\033'; }; \
             [ \"$(colours 'iamctl status')\" = 0 ] && unset NO_COLOR && TERM=xterm \
             && [ \"$(TERM=xterm colours 'iamctl status')\" != 0 ]",
            0,
            &[],
        ),
    ),
    step(FILES, "`legacy_aud_mode`", Nothing, Run("iamctl issuer show test", 0, &["Dialect"])),
    step(
        FILES,
        "`config`",
        Nothing,
        Run("test -r /etc/iamd/iamd.toml && iamctl issuer list", 0, &["test"]),
    ),
];
