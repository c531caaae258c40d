//! `latchgate acl …`: rules.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::askers::Doing;
use super::console::{Console, shown};
use crate::policy::Settings;
use crate::policy::accounts::{AccountStore, Accounts, RuleRecord, Subject};
use crate::policy::acl::{Access, Voiced};
use crate::policy::auth::backends::SQLITE;
use crate::store::AccountsDb;
use crate::store::accounts::{RuleRow, check};

/// Rules; a running gateway obeys a change within a second
#[derive(Debug, clap::Subcommand)]
pub enum AclCommand {
    /// Allow something; what no rule allows is refused
    Allow(RuleArgs),
    /// Deny something, whatever else allows it
    Deny(RuleArgs),
    /// Remove a rule, or some of its operations
    Remove {
        /// Whom the rule is for
        #[arg(required_unless_present = "row")]
        subject: Option<Subject>,
        /// The operations to remove
        #[arg(required_unless_present = "row")]
        access: Option<Access>,
        /// The rule's filter
        #[arg(required_unless_present = "row")]
        filter: Option<String>,
        /// Remove the denying rule, not the allowing one
        #[arg(long)]
        deny: bool,
        /// Remove the rule in this row (`acl list --json` tells them), readable or not
        #[arg(long, conflicts_with_all = ["subject", "access", "filter", "deny"])]
        row: Option<i64>,
    },
    /// List the rules, in the order they were made
    List {
        /// Only those for this subject
        subject: Option<Subject>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask what the rules say, without a running gateway: prints the answer and the rule that decided;
    /// the exit status is 0 for allow, 3 for deny
    Test {
        /// User name; an account of that name need not exist
        #[arg(value_parser = user_name)]
        user: String,
        /// read (subscribe and receive), write (publish), all, publish, subscribe or receive
        access: Access,
        /// Topic name; to ask about a subscription, a filter
        topic: String,
        /// Client identifier, for rules with %c
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl AclCommand {
    /// What it does with rules that somebody may or may not ask.
    pub(super) fn doing(&self) -> Doing {
        let of = |subject: &Subject| match subject {
            // Bridges are under them, whoever the listeners ask.
            Subject::Bridge(_) => Doing::Else,
            Subject::User(name) => Doing::Rules(name.clone()),
            Subject::Role(_) | Subject::Everyone => Doing::Edits,
        };
        match self {
            AclCommand::Allow(rule) | AclCommand::Deny(rule) => of(&rule.subject),
            AclCommand::Remove { subject: Some(Subject::Bridge(_)), .. } => Doing::Else,
            AclCommand::Remove { .. } => Doing::Edits,
            AclCommand::List { json: false, .. } => Doing::Lists,
            // The answer says what each backend says.
            AclCommand::List { .. } | AclCommand::Test { .. } => Doing::Else,
        }
    }
}

/// A rule to make.
#[derive(Debug, clap::Args)]
pub struct RuleArgs {
    /// User name (an account need not exist), role:NAME, bridge:NAME, or * for everyone
    #[arg(value_parser = subject)]
    pub subject: Subject,
    /// read (subscribe and receive), write (publish), all, publish, subscribe or receive
    pub access: Access,
    /// Topic filter; %u (user name) and %c (client identifier) may stand for whole levels
    #[arg(value_parser = filter)]
    pub filter: String,
}

/// What `acl test` asks of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestQuestion {
    /// User name.
    pub user: String,
    /// Client identifier; without one, rules with `%c` fit nothing.
    pub client_id: Option<String>,
    /// The operations; every one must be allowed.
    pub access: Access,
    /// Topic name, or a filter to subscribe to. Not checked yet.
    pub topic: String,
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Answer {
    /// Whether all of it is allowed.
    pub allowed: bool,
    /// The rule that decided, or why none did.
    pub reason: String,
    /// What each backend said by itself, for each operation.
    pub backends: Vec<(String, Vec<Voiced>)>,
}

/// Does what was asked with the rules in the state directory. `decide` answers `acl test` as the gate would.
pub fn run(
    command: AclCommand,
    state_dir: &Path,
    decide: impl FnOnce(&Accounts, TestQuestion) -> anyhow::Result<Answer>,
) -> anyhow::Result<ExitCode> {
    Console::of_process(|console| execute(command, state_dir, decide, console))
}

/// Answers `acl test` as the gate of a client would. Backends elsewhere are asked.
pub fn decide(accounts: &Accounts, question: &TestQuestion, settings: &Settings) -> Answer {
    let TestQuestion { user, client_id, access, topic } = question;
    let client_id = client_id.as_deref().unwrap_or_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Answer { allowed: false, reason: error.to_string(), backends: Vec::new() };
        }
    };
    let (answer, backends) = runtime.block_on(settings.test(accounts, user, client_id, *access, topic));
    let (allowed, reason) = match answer {
        Ok(rule) => (true, rule.to_string()),
        Err((operation, denial)) => (false, format!("{operation}: {denial}")),
    };
    Answer { allowed, reason, backends }
}

fn execute(
    command: AclCommand,
    state_dir: &Path,
    decide: impl FnOnce(&Accounts, TestQuestion) -> anyhow::Result<Answer>,
    console: &mut Console,
) -> anyhow::Result<ExitCode> {
    let db = || AccountsDb::open(state_dir);
    match command {
        AclCommand::Allow(rule) => add(&db()?, rule, false, console)?,
        AclCommand::Deny(rule) => add(&db()?, rule, true, console)?,
        AclCommand::Remove {
            subject: Some(subject),
            access: Some(access),
            filter: Some(filter),
            deny,
            ..
        } => {
            db()?.remove_rule(&RuleRecord { subject, access, filter, deny })?;
            writeln!(console.out, "rule removed")?;
        }
        AclCommand::Remove { row, .. } => {
            db()?.remove_rule_row(row.context("say which rule: SUBJECT ACCESS FILTER, or --row")?)?;
            writeln!(console.out, "rule removed")?;
        }
        AclCommand::List { subject, json } => {
            let rules: Vec<Listed> = db()?.rules(subject.as_ref())?.into_iter().map(Listed::from).collect();
            if json {
                console.json(&rules)?;
            } else if rules.iter().all(|rule| rule.problem.is_none()) {
                let rows: Vec<_> = rules.iter().map(Listed::cells).collect();
                console.table(["SUBJECT", "RULE", "ACCESS", "FILTER"], &rows)?;
            } else {
                let rows: Vec<_> = rules.iter().map(Listed::cells_and_problem).collect();
                console.table(["SUBJECT", "RULE", "ACCESS", "FILTER", "PROBLEM"], &rows)?;
            }
        }
        AclCommand::Test { user, access, topic, client_id, json } => {
            // Asking makes no database.
            let accounts = if AccountsDb::exists(state_dir) { db()?.load()? } else { Accounts::default() };
            let answer = decide(&accounts, TestQuestion { user, client_id, access, topic })?;
            let word = if answer.allowed { "allow" } else { "deny" };
            if json {
                console.json(&answer)?;
            } else {
                writeln!(console.out, "{word}: {}", shown(&answer.reason))?;
                // Of the gateway's own rules alone there is nothing more to say.
                let more = |voices: &[Voiced]| voices.iter().any(|voiced| voiced.backend != SQLITE);
                for (operation, voices) in answer.backends.iter().filter(|(_, voices)| more(voices)) {
                    for Voiced { backend, says, why, when } in voices {
                        let when = when.as_ref().map(|when| format!(" ({when})")).unwrap_or_default();
                        let (backend, why) = (shown(backend), shown(why));
                        let line = format!("  {operation:<9}  {backend:<10}  {says:<9}  {why}{when}");
                        writeln!(console.out, "{}", line.trim_end())?;
                    }
                }
            }
            return Ok(if answer.allowed { ExitCode::SUCCESS } else { ExitCode::from(3) });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn add(db: &AccountsDb, rule: RuleArgs, deny: bool, console: &mut Console) -> anyhow::Result<()> {
    let RuleArgs { subject, access, filter } = rule;
    let rule = RuleRecord { subject, access, filter, deny };
    let already = if db.add_rule(&rule)? { "" } else { " already" };
    let verb = if deny { "denied" } else { "allowed" };
    writeln!(console.out, "{} is {verb} {access} {:?}{already}", rule.subject, rule.filter)?;
    if let Subject::User(name) = &rule.subject
        && !db.has_user(name)?
    {
        writeln!(
            console.err,
            "note: there is no account {name:?}; the rule counts for whoever logs in under it"
        )?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct Listed {
    row: i64,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<String>,
    filter: String,
    deny: bool,
    /// Why the rule cannot be understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl From<RuleRow> for Listed {
    fn from(RuleRow { id, subject, filter, deny, rule }: RuleRow) -> Self {
        let (access, problem) = match rule {
            Ok(rule) => (Some(rule.access.to_string()), None),
            Err(why) => (None, Some(why)),
        };
        Listed { row: id, subject, access, filter, deny, problem }
    }
}

impl Listed {
    fn cells(&self) -> [String; 4] {
        let verb = if self.deny { "deny" } else { "allow" };
        let access = self.access.clone().unwrap_or_default();
        [self.subject.clone(), verb.into(), access, self.filter.clone()]
    }

    fn cells_and_problem(&self) -> [String; 5] {
        let [subject, verb, access, filter] = self.cells();
        let problem = match &self.problem {
            Some(why) => format!("{why}; latchgate acl remove --row {}", self.row),
            None => String::new(),
        };
        [subject, verb, access, filter, problem]
    }
}

fn subject(text: &str) -> Result<Subject, String> {
    let subject: Subject = text.parse().map_err(str::to_owned)?;
    check::subject(&subject).map(|()| subject)
}

fn filter(text: &str) -> Result<String, String> {
    check::filter(text).map(|()| text.to_owned())
}

fn user_name(text: &str) -> Result<String, String> {
    check::user_name(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::console::piped;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: AclCommand,
    }

    /// Stands in for the gate: allows what some rule has the very filter of.
    fn decide(accounts: &Accounts, question: TestQuestion) -> anyhow::Result<Answer> {
        let rule = accounts.rules.iter().find(|rule| rule.filter == question.topic);
        let reason = format!("{:?} {:?}", question.client_id, rule.is_some());
        Ok(Answer { allowed: rule.is_some(), reason, backends: Vec::new() })
    }

    /// Runs one command line; exit status, output and remarks, or the error.
    fn acl(state: &Path, line: &[&str]) -> Result<(ExitCode, String, String), String> {
        let line = Line::try_parse_from([&["acl"], line].concat()).map_err(|error| error.to_string())?;
        let (result, out, err) = piped("", |console| execute(line.command, state, decide, console));
        result.map(|code| (code, out, err)).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_are_made_listed_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        let (_, out, err) = acl(state, &["allow", "jjolie", "read", "loc/jjolie"]).unwrap();
        assert_eq!(out, "jjolie is allowed read \"loc/jjolie\"\n");
        assert!(err.contains("no account"), "{err}");
        let (_, out, err) = acl(state, &["allow", "*", "all", "#"]).unwrap();
        assert!(!out.contains("already") && err.is_empty());
        assert!(acl(state, &["allow", "*", "all", "#"]).unwrap().1.contains("already"));
        acl(state, &["deny", "bridge:b", "publish", "$SYS/#"]).unwrap();
        let list = acl(state, &["list"]).unwrap().1;
        assert_eq!(
            list,
            "SUBJECT   RULE   ACCESS  FILTER\n\
             jjolie    allow  read    loc/jjolie\n\
             *         allow  all     #\n\
             bridge:b  deny   write   $SYS/#\n"
        );
        assert_eq!(acl(state, &["list", "*"]).unwrap().1.lines().count(), 2);
        let json: serde_json::Value =
            serde_json::from_str(&acl(state, &["list", "bridge:b", "--json"]).unwrap().1).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{"row": json[0]["row"], "subject": "bridge:b", "access": "write", "filter": "$SYS/#", "deny": true}])
        );
        let error = acl(state, &["remove", "bridge:b", "write", "$SYS/#"]).unwrap_err();
        assert!(error.contains("no rule allows") && error.contains("add --deny"), "{error}");
        let error = acl(state, &["remove", "*", "read", "#", "--deny"]).unwrap_err();
        assert!(error.contains("no rule denies") && error.contains("leave --deny out"), "{error}");
        let error = acl(state, &["remove", "*", "read", "x"]).unwrap_err();
        assert!(error.contains("see: latchgate acl list"), "{error}");
        acl(state, &["remove", "bridge:b", "write", "$SYS/#", "--deny"]).unwrap();
        acl(state, &["remove", "*", "all", "#"]).unwrap();
        acl(state, &["remove", "--row", "1"]).unwrap();
        assert_eq!(acl(state, &["list", "--json"]).unwrap().1, "[]\n");
    }

    #[test]
    fn a_line_that_makes_no_rule_is_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        for (line, words) in [
            (&["allow", "role:nobody", "read", "x"][..], "latchgate role add nobody"),
            (&["allow", "role:", "read", "x"], "role:NAME"),
            (&["allow", "a", "execute", "x"], "access is read"),
            (&["allow", "a", "read", "a/%ux"], "whole of their level"),
            (&["deny", "a", "read", "a/#/b"], "last level"),
            (&["remove"], "required"),
            (&["remove", "a", "read"], "required"),
            (&["remove", "a", "read", "x", "--row", "1"], "cannot be used with"),
            (&["remove", "--row", "1"], "no rule in row 1 (the rows are in: latchgate acl list --json)"),
        ] {
            let error = acl(directory.path(), line).expect_err(&format!("{line:?}"));
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }

    #[test]
    fn a_test_prints_the_answer_and_exits_with_3_for_no() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        acl(state, &["allow", "*", "all", "x"]).unwrap();
        let (code, out, _) = acl(state, &["test", "a", "write", "x", "--client-id", "c"]).unwrap();
        assert_eq!((code, out.as_str()), (ExitCode::SUCCESS, "allow: Some(\"c\") true\n"));
        let (code, out, _) = acl(state, &["test", "a", "write", "y"]).unwrap();
        assert_eq!((code, out.as_str()), (ExitCode::from(3), "deny: None false\n"));
        let (code, out, _) = acl(state, &["test", "a", "write", "y", "--json"]).unwrap();
        assert_eq!(code, ExitCode::from(3));
        assert!(out.contains("\"allowed\": false"));
    }

    #[test]
    fn a_rule_that_cannot_be_understood_is_listed_with_the_way_to_remove_it() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        drop(AccountsDb::open(state).unwrap());
        let intruder = rusqlite::Connection::open(state.join(AccountsDb::FILE)).unwrap();
        intruder
            .execute("INSERT INTO rule (subject, access, filter, deny) VALUES ('a', 1, 'a/#/b', 1)", [])
            .unwrap();
        assert!(acl(state, &["list"]).unwrap().1.contains("acl remove --row 1"));
        assert!(acl(state, &["test", "a", "write", "x"]).unwrap_err().contains("acl remove --row 1"));
        acl(state, &["remove", "--row", "1"]).unwrap();
        assert!(acl(state, &["test", "a", "write", "x"]).is_ok());
    }
}
