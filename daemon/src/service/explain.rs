//! Policy as administrators look at it: what is on disk before it is in force, and what a user may
//! do and why. Whoever calls these was authorised by polkit at the edge.

use iamd_protocol::{
    bus::{PolicyCheck, PolicyLine, PolicyProblem},
    error::Kind,
};

use super::{By, Service, ServiceError};
use crate::{
    config::{Config, ConfigError, policy::Key},
    policy::explain::{self, Line},
};

/// The longest name of a user.
const LONGEST_NAME: usize = 256;

impl Service {
    /// What is wrong with the configuration on disk, or what it comes to. Nothing is changed.
    pub async fn check_policy(&self, by: By) -> PolicyCheck {
        self.note_administration(by, "policy check", None);
        match Config::load(&self.sources) {
            Ok(config) => PolicyCheck {
                good: true,
                in_force: Some(self.is_in_force(&config)),
                warnings: self.unknown_groups(&config).await,
                files: config.policy.files.clone(),
                lines: explain::site(&config).into_iter().map(told).collect(),
                ..PolicyCheck::default()
            },
            Err(ConfigError(problems)) => {
                let problem = |problem: crate::config::Problem| PolicyProblem {
                    message: problem.to_string(),
                    line: problem.line.and_then(|line| u32::try_from(line).ok()),
                    file: problem.file,
                    key: problem.key,
                    text: problem.text,
                };
                let problems = problems.into_iter().map(problem).collect();
                PolicyCheck { problems, ..PolicyCheck::default() }
            }
        }
    }

    /// What a user may do by the configuration in force, and which lines decided.
    ///
    /// # Errors
    /// That is nobody's name.
    pub async fn explain_policy(
        &self,
        by: By,
        user: &str,
    ) -> Result<Vec<PolicyLine>, ServiceError> {
        let fits = |c: char| !c.is_control() && !c.is_whitespace();
        let is_name = !user.is_empty() && user.len() <= LONGEST_NAME && user.chars().all(fits);
        let shown: String = user.chars().filter(|c| fits(*c)).take(80).collect();
        if !is_name {
            let error = ServiceError::new(Kind::InvalidArgument, "that is no name of a user");
            self.note_administration(by, &format!("policy explain {shown}"), Some(&error));
            return Err(error);
        }
        self.note_administration(by, &format!("policy explain {shown}"), None);
        let (who, uid) = (self.who(user).await, self.users.uid_of(user).await);
        Ok(explain::user(&self.config(), &who, uid).into_iter().map(told).collect())
    }

    fn is_in_force(&self, on_disk: &Config) -> bool {
        let now = self.config();
        let same = |key: Key| now.site_wide(key) == on_disk.site_wide(key);
        now.policy.clauses == on_disk.policy.clauses && Key::ALL.into_iter().all(same)
    }

    /// A rule for a group that there is not is for nobody, and is in doubt for everybody.
    async fn unknown_groups(&self, config: &Config) -> Vec<String> {
        let groups: Vec<String> = config.policy.groups().into_iter().map(str::to_owned).collect();
        if groups.is_empty() {
            return Vec::new();
        }
        let known = self.users.groups_of("root", &groups).await;
        let unknown = groups.iter().filter(|group| !known.contains_key(*group));
        let first = |group: &String| {
            let mut clauses = config.policy.clauses.iter();
            let clause = clauses.find(|clause| clause.subject.group() == Some(group))?;
            Some(format!(
                "{}: the name service knows no group {group} now: what the rule allows is not allowed, and what it forbids is forbidden to everybody whom no narrower rule is for",
                clause.place
            ))
        };
        unknown.filter_map(first).collect()
    }
}

fn told(line: Line) -> PolicyLine {
    PolicyLine {
        whom: line.whom,
        key: line.key.name().to_owned(),
        values: line.values,
        text: line.text,
        decided_by: line.decided_by.iter().map(ToString::to_string).collect(),
        in_doubt: line.doubt,
    }
}
