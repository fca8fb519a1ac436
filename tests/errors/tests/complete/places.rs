//! Sentences that stand at more than one place. A row of the page shows a text, and not from where
//! it came: what provokes each of these places is named here, a test or the reason why none does.

/// What provokes one place.
pub(crate) enum By {
    /// The test of this name.
    Test(&'static str),
    /// None, or none of its own, for this reason.
    Note(&'static str),
}

use By::{Note, Test};

/// A sentence, and the files that have it with their places in order.
type Shared = (&'static str, &'static [(&'static str, &'static [By])]);

/// All of them, of four words and more: shorter ones are labels and parts.
pub(crate) const SHARED: &[Shared] = &[
    (
        "Sign in with:  iamctl login",
        &[
            ("cli/src/commands/doctor/readers.rs", &[Note("advice: no error by itself")]),
            ("daemon/src/service/doctor.rs", &[Note("advice: no error by itself")]),
            ("protocol/src/error.rs", &[Note("advice: no error by itself")]),
        ],
    ),
    (
        "Start again with:  iamctl login",
        &[("protocol/src/error.rs", &[Note("advice of a kind"), Note("advice of another kind")])],
    ),
    (
        "Ask for fewer scopes:  iamctl token -s SCOPE",
        &[
            (
                "cli/src/commands/doctor/readers.rs",
                &[Test("what_is_wrong_with_a_token_file"), Note("advice, as the one before")],
            ),
            ("daemon/src/service/doctor.rs", &[Test("of_a_sign_in_and_its_token")]),
        ],
    ),
    (
        "Administrators: systemctl status dbus",
        &[
            ("cli/src/client.rs", &[Note("advice: no error by itself")]),
            ("cli/src/client/errors.rs", &[Note("advice: no error by itself")]),
        ],
    ),
    (
        "Name the issuer with --issuer",
        &[(
            "cli/src/commands/account/add/from_env.rs",
            &[Note("advice: no error by itself"), Note("advice: no error by itself")],
        )],
    ),
    (
        "You have no account yet. Sign in with:  iamctl login",
        &[
            ("cli/src/commands/account.rs", &[Note("no error: transcripts have it")]),
            ("cli/src/commands/status/mod.rs", &[Note("no error: transcripts have it")]),
        ],
    ),
    (
        "The file is removed.",
        &[
            ("cli/src/commands/account/import.rs", &[Note("no error: said beside a success")]),
            (
                "cli/src/commands/account/import/report.rs",
                &[Note("no error: said beside a success")],
            ),
        ],
    ),
    (
        "No account configured with that short name",
        &[
            (
                "cli/src/commands/compat.rs",
                &[Test("what_oidc_token_cannot_do_is_an_error_with_the_way_out")],
            ),
            ("daemon/src/edge/agent_socket/answer.rs", &[Test("of_accounts_that_give_no_token")]),
        ],
    ),
    (
        "must be printable ASCII",
        &[(
            "daemon/src/config/issuers.rs",
            &[Test("in_an_issuers_file"), Test("r70_no_mistake_hides_another")],
        )],
    ),
    (
        "must begin with https://",
        &[
            ("daemon/src/config/issuers.rs", &[Test("in_an_issuers_file")]),
            ("daemon/src/policy/mod.rs", &[Test("the_issuer_is_none_of_the_sites")]),
        ],
    ),
    (
        "must not carry a user name or password",
        &[
            ("daemon/src/config/issuers.rs", &[Test("in_an_issuers_file")]),
            ("daemon/src/policy/mod.rs", &[Test("the_issuer_is_none_of_the_sites")]),
        ],
    ),
    (
        "a PAM service is named like its file in /etc/pam.d",
        &[
            ("daemon/src/config/file.rs", &[Test("in_iamd_toml")]),
            (
                "daemon/src/config/policy/answers.rs",
                &[Note("config/policy/tests.rs has it with file, line and key")],
            ),
        ],
    ),
    (
        "must be a list in [ ], not {}",
        &[(
            "daemon/src/config/reader.rs",
            &[Test("in_iamd_toml"), Note("config/tests.rs has it of show_secrets")],
        )],
    ),
    (
        "each begins with a line [[{}]]",
        &[("daemon/src/config/reader.rs", &[Test("mistakes_in_rules"), Test("mistakes_in_rules")])],
    ),
    (
        "must be: VALUE -> USER",
        &[(
            "daemon/src/config/identity.rs",
            &[
                Test("in_the_identity_table_of_an_issuers_file"),
                Test("in_the_identity_table_of_an_issuers_file"),
            ],
        )],
    ),
    (
        "that is not the passphrase",
        &[
            ("daemon/src/account/guard.rs", &[Test("it_is_wrong_or_tried_too_often")]),
            ("daemon/src/seal/guard.rs", &[Note("becomes the other one before anybody is told")]),
        ],
    ),
    (
        "{} is not https",
        &[(
            "daemon/src/issuer/address.rs",
            &[
                Test("r13_a_real_issuer_that_names_a_service_of_this_machine_is_not_believed"),
                Test("an_address_is_not_for_issuers"),
            ],
        )],
    ),
    (
        "the account {} was removed meanwhile",
        &[
            (
                "daemon/src/service/edit.rs",
                &[Test("what_an_account_has_is_not_its_users_to_change")],
            ),
            ("daemon/src/service/passphrases.rs", &[Test("the_account_changes_meanwhile")]),
            (
                "daemon/src/service/take_over.rs",
                &[Test(
                    "r25_a_handed_over_token_is_not_used_where_its_account_was_removed_meanwhile",
                )],
            ),
        ],
    ),
    (
        "the issuer did not grant: {missing}",
        &[
            (
                "daemon/src/service/sign_in.rs",
                &[Test("scopes_that_the_issuer_left_out_are_remarks")],
            ),
            ("daemon/src/service/tokens.rs", &[Test("with_what_the_issuer_does_not_give")]),
        ],
    ),
    (
        "your client at this issuer",
        &[(
            "daemon/src/service/add.rs",
            &[Note("a part: whose client it is, of a remark"), Note("the same, of another remark")],
        )],
    ),
    (
        "no login is running",
        &[(
            "daemon/src/service/logins.rs",
            &[Test("nobody_approves"), Test("a_login_that_runs_is_joined_and_can_be_cancelled")],
        )],
    ),
    (
        "{} was changed meanwhile; try again",
        &[(
            "daemon/src/service/passphrases.rs",
            &[
                Test("what_it_guards_does_not_open"),
                Test("which_account_is_meant_changes_meanwhile"),
            ],
        )],
    ),
    (
        "the name {name} cannot be used; choose another",
        &[
            ("daemon/src/service/add_plan.rs", &[Test("the_name_is_taken_or_none")]),
            ("daemon/src/service/plan.rs", &[Test("a_new_account_is_made_elsewhere_meanwhile")]),
        ],
    ),
    (
        "you have an account \u{201c}{name}\u{201d} already",
        &[
            (
                "cli/src/commands/account/import.rs",
                &[Test("every_error_of_an_import_is_on_the_page")],
            ),
            ("daemon/src/service/add_plan.rs", &[Test("the_name_is_taken_or_none")]),
        ],
    ),
    (
        "it is cut off or garbled",
        &[
            ("daemon/src/seal/envelope.rs", &[Test("a_record_does_not_open")]),
            (
                "daemon/src/service/vault/upkeep/survey.rs",
                &[Note("an entry of the journal, told by the check of the store: vault/tests")],
            ),
        ],
    ),
    (
        "belongs to somebody else; chown it to root",
        &[(
            "daemon/src/store/state_dir.rs",
            &[
                Test("iamd_does_not_start_on_this_directory"),
                Test("iamd_does_not_start_on_this_directory"),
            ],
        )],
    ),
    (
        "not a plain file; move it away",
        &[
            ("daemon/src/seal/keyring.rs", &[Test("iamd_does_not_start_with_this_keyring")]),
            ("daemon/src/store/state_dir.rs", &[Test("iamd_does_not_start_on_this_directory")]),
        ],
    ),
    (
        "; make room on this file system",
        &[
            ("daemon/src/store/error.rs", &[Test("on_a_small_file_system")]),
            (
                "daemon/src/store/sqlite/file.rs",
                &[Test("a_full_store_says_so_changes_nothing_and_works_again_once_there_is_room")],
            ),
        ],
    ),
    (
        "iamd is shutting down",
        &[
            ("daemon/src/store/sqlite/mod.rs", &[Note("exempt.rs")]),
            ("daemon/src/store/sqlite/snapshot.rs", &[Note("exempt.rs")]),
        ],
    ),
    (
        "there is not enough memory to try the passphrase",
        &[
            ("daemon/src/seal/backup.rs", &[Test("without_memory_a_passphrase_is_refused")]),
            ("daemon/src/seal/guard.rs", &[Test("without_memory_a_passphrase_is_refused")]),
        ],
    ),
    (
        "this is too long",
        &[(
            "cli/src/duration.rs",
            &[
                Test("what_a_command_line_cannot_mean_or_a_disk_not_hold"),
                Note("the same number, too long once its unit is taken"),
            ],
        )],
    ),
    (
        "iamd does not start",
        &[
            (
                "cli/src/client.rs",
                &[Note("the bus takes longer for it than iamctl waits: cli/tests/errors.rs")],
            ),
            ("cli/src/client/errors.rs", &[Note("the bus says so: cli/tests/errors.rs")]),
        ],
    ),
    (
        "the connection to the bus broke",
        &[
            (
                "cli/src/client.rs",
                &[Note(
                    "the thread of the connection ended first: either is told of a bus that ends",
                )],
            ),
            ("cli/src/client/errors.rs", &[Test("the_bus_goes_away_in_the_middle")]),
        ],
    ),
    (
        "there is no terminal to ask on",
        &[
            ("cli/src/commands/login/password.rs", &[Note("cli/tests/password_flow.rs")]),
            ("cli/src/prompt.rs", &[Test("a_command_that_lacks_something")]),
        ],
    ),
    (
        "it is not open",
        &[(
            "cli/src/secret.rs",
            &[
                Test("a_command_that_lacks_something"),
                Test("a_descriptor_of_our_own_is_not_one_of_the_users"),
            ],
        )],
    ),
    (
        "the file belongs to another user",
        &[
            ("cli/src/oidc_agent/place.rs", &[Test("every_error_of_an_import_is_on_the_page")]),
            ("cli/src/private.rs", &[Test("what_belongs_to_another_user_is_not_written_to")]),
        ],
    ),
    (
        "this is a directory",
        &[(
            "cli/src/private.rs",
            &[
                Test("what_is_not_a_file_of_the_users_stays_as_it_is"),
                Test("what_is_not_a_file_of_the_users_stays_as_it_is"),
            ],
        )],
    ),
    (
        "iamd is not running on this node",
        &[(
            "cli/src/client/errors.rs",
            &[
                Test("errors_that_are_not_ours_are_told_too"),
                Test("a_bus_without_iamd_or_one_that_refuses"),
            ],
        )],
    ),
    (
        "it is not whole",
        &[
            (
                "cli/src/oidc_agent/gpg.rs",
                &[Note("an end that is missing: cli/tests/import.rs has both kinds")],
            ),
            (
                "cli/src/oidc_agent/sealed.rs",
                &[Test("a_file_that_was_cut_off_is_told_before_its_password_is_tried")],
            ),
        ],
    ),
    (
        "it was encrypted in a way that is not known",
        &[(
            "cli/src/oidc_agent/sealed.rs",
            &[
                Test("every_error_of_an_import_is_on_the_page"),
                Note("another number of the same line that is not known"),
                Note("the same"),
            ],
        )],
    ),
    (
        "nobody is there to be asked",
        &[
            ("cli/src/commands/account/change.rs", &[Test("a_command_that_lacks_something")]),
            ("cli/src/commands/admin/revoke.rs", &[Note("the transcripts have it")]),
        ],
    ),
    (
        "nobody is asked about each use here; an account that shall not be used unseen has a passphrase:  iamctl account passphrase",
        &[
            (
                "cli/src/commands/compat/add.rs",
                &[Test("every_option_of_oidc_add_does_its_job_or_says_why_not")],
            ),
            (
                "cli/src/commands/compat/agent.rs",
                &[Test("a_script_that_starts_an_agent_is_told_where_to_ask")],
            ),
        ],
    ),
    (
        "mytoken keeps refresh tokens on a server; here the daemon does",
        &[(
            "cli/src/commands/compat/generate.rs",
            &[
                Test("oidc_gen_does_what_has_a_counterpart_and_names_it_for_the_rest"),
                Test("oidc_gen_does_what_has_a_counterpart_and_names_it_for_the_rest"),
            ],
        )],
    ),
];
