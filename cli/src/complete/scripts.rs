//! The scripts for bash and zsh are ours, words in and candidates out are clap's. clap's script for
//! bash hands on the words as bash took them apart, at colons and equals signs, and completes no
//! scope; its script for zsh does nothing at the first Tab when compinit reads it.

use std::{ffi::OsString, io, path::Path};

use clap::Command;
use clap_complete::env::{self, EnvCompleter};

/// A shell of clap's with another script.
pub(super) struct Scripted {
    shell: &'static (dyn EnvCompleter + Sync),
    script: &'static str,
}

/// GNU Bash.
pub(super) const BASH: Scripted =
    Scripted { shell: &env::Bash, script: include_str!("iamctl.bash") };
/// The Z shell.
pub(super) const ZSH: Scripted = Scripted { shell: &env::Zsh, script: include_str!("iamctl.zsh") };

impl EnvCompleter for Scripted {
    fn name(&self) -> &'static str {
        self.shell.name()
    }

    fn is(&self, name: &str) -> bool {
        self.shell.is(name)
    }

    fn write_registration(
        &self,
        _var: &str,
        _name: &str,
        _bin: &str,
        _completer: &str,
        script: &mut dyn io::Write,
    ) -> Result<(), io::Error> {
        script.write_all(self.script.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        candidates: &mut dyn io::Write,
    ) -> Result<(), io::Error> {
        self.shell.write_complete(command, words, directory, candidates)
    }
}
