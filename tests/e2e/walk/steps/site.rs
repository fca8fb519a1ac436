//! What users of oidc-agent write into files of their own and a site writes once here; and what its
//! administrators have to allow.

use super::Act::{Root, Run};
use super::{FILES, GEN, SCRIPT, Step, left, same};

pub(super) const STEPS: &[Step] = &[
    // An issuer that has no document of OpenID's: what the daemon found in its place.
    left(
        GEN,
        "`--oauth2`, `--oauth` (5)",
        "5",
        Run(
            "RT=$(ISS=https://plain.test/ rt)
            iamctl account add plain --issuer plain --client-id site-password --client-secret-fd 3 \
             -s openid -s offline_access -s storage.read:/ --refresh-token-fd 4 \
             3<<<site-secret 4<<<\"$RT\" >&2 && iamctl token plain --json | jq -r .issuer
            iamctl account show plain --json | jq -r .account.configuration_endpoint",
            0,
            &["https://plain.test/\n", "/.well-known/oauth-authorization-server"],
        ),
    ),
    left(
        GEN,
        "`--configuration-endpoint=URI`, `--config-endpoint`, `--discovery-endpoint=URI` (5)",
        "5",
        Run(
            "iamctl account show plain --json | jq -r .account.device_authorization_endpoint",
            0,
            &["https://plain.test/device/of-the-site"],
        ),
    ),
    // No authority signed this issuer's certificate.
    same(
        GEN,
        "`--cp`, `--cert-path`, `--cert-file=FILE`",
        &["not with the node's certificates", "with its own"],
        "RT=$(ISS=https://strange.test/ CURL_CA_BUNDLE=/etc/ssl/strange.pem rt); G=${GEN/walk.test/strange.test}
            timeout 60 oidc-gen strange $OTHER --scope=\"$SCOPES\" --rt=$RT $G >&2 \
         || echo \"not with the node's certificates\"
            oidc-gen strange $OTHER --scope=\"$SCOPES\" --rt=$RT ${G% --cp=*} --cp=/etc/ssl/strange.pem >&2 \
         && oidc-token strange > /dev/null && echo with its own",
        "RT=$(ISS=https://strange.test/ CURL_CA_BUNDLE=/etc/ssl/strange.pem rt)
            curl -sS -m 20 https://strange.test/ >&2 || echo \"not with the node's certificates\"
            iamctl account add strange --issuer strange --client-id site-password --client-secret-fd 3 \
         -s openid -s offline_access -s storage.read:/ --refresh-token-fd 4 3<<<site-secret 4<<<\"$RT\" >&2 \
         && iamctl token strange > /dev/null && echo with its own",
    ),
    left(
        FILES,
        "`contact`, `user_client`, `register`, also spelt `manual_register`, `config_endpoint`, `device_authorization_endpoint`, `cert_path`, `oauth` of an issuer (5)",
        "5",
        Run(
            "iamctl issuer show plain --json | jq -r .issuer.client
            iamctl account show plain --json | jq -r '.account | .client, .configuration_endpoint, \
             .device_authorization_endpoint'
            iamctl account show strange --json | jq -r .account.ca_file
            iamctl account remove plain --yes >&2; iamctl account remove strange --yes >&2",
            0,
            &[
                "per-user\ngiven\n",
                "/.well-known/oauth-authorization-server",
                "/device/of-the-site",
                "/etc/ssl/strange.pem",
            ],
        ),
    ),
    same(
        GEN,
        "`-w`, `--flow=password`",
        &["<token of "],
        "oidc-gen by-password --client-id=site-password --client-secret=site-secret -w password \
         --op-username=$USER --op-password=$USER-pw --scope=\"$SCOPES\" $GEN >&2 && oidc-token by-password",
        "iamctl account add by-password --issuer test --client-id site-password --client-secret-fd 3 \
         -s openid -s offline_access -s storage.read:/ --no-login 3<<<site-secret >&2
            iamctl login by-password --flow password --user $USER --password-fd 3 3<<<$USER-pw >&2 \
         && iamctl token by-password",
    ),
    same(
        SCRIPT,
        "`IAM_USER`, `IAM_PASSWORD`",
        &["<token of "],
        "export IAM_CLIENT_ID=site-password IAM_CLIENT_SECRET=site-secret IAM_ENDPOINT=${ISS}token
            export IAM_USER=$USER IAM_PASSWORD=$USER-pw
            eval \"$(iam-password.sh)\"; printenv IAM_ACCESS_TOKEN",
        "IAM_USER=$USER IAM_PASSWORD=$USER-pw
            iamctl account add by-script --issuer test --client-id site-password --client-secret-fd 3 \
         -s openid -s profile -s email -s offline_access --no-login 3<<<site-secret >&2
            iamctl login by-script --flow password --user \"$IAM_USER\" --password-fd 3 3<<<\"$IAM_PASSWORD\" >&2
            iamctl token by-script; iamctl account remove by-script --yes >&2",
    ),
    left(
        FILES,
        "`client_id`, `client_secret`, `scope`, `flow`, `redirect_uris` of `pubclient` and `user_client` (5)",
        "5",
        Run(
            "grep -A 1 -F '[public_client]' /etc/iamd/issuers.d/test.toml
            iamctl issuer show test --json | jq '.issuer.public_client'
            iamctl account show given --json | jq -r .account.client",
            0,
            &["id = \"site-public\"", "true", "given"],
        ),
    ),
    left(
        FILES,
        "`config` (5)",
        "5",
        Root(
            "iamd --check && iamctl admin policy explain $WALKER",
            0,
            &["the configuration is good", "/etc/iamd/iamd.toml"],
        ),
    ),
    left(
        FILES,
        "`default-min-lifetime`, also spelt `default_min_lifetime`, in `config` (5)",
        "5",
        Run(
            "grep min_valid /etc/iamd/iamd.toml
            left=$(($(iamctl token cms --json | jq .expires_at) - $(date +%s)))
            [ $left -ge 600 ] && echo valid for so long",
            0,
            &["10m", "valid for so long"],
        ),
    ),
    left(
        FILES,
        "`cnid` in `config` (5)",
        "5",
        Run("iamctl account show cms --json | jq -r .account.client_name", 0, &["iamd"]),
    ),
    left(
        FILES,
        "`issuer`, `accounts`, `pw-store` of an issuer (5)",
        "5",
        Run(
            "iamctl issuer show test --json | jq -r .issuer.url
            iamctl account list --json | jq -r --arg iss $ISS '.accounts[] | select(.issuer == $iss).name'",
            0,
            &["https://walk.test/", "cms"],
        ),
    ),
];
