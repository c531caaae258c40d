//! The backend `python`: a module that was written for mosquitto_pyauth runs unchanged in processes of their own, which are
//! asked over a socket. They get none of the gateway's environment, files or memory.

mod crew;
mod print;
mod process;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::json;

use super::backend::{Answer, Asking, Failure, Question, Remote, Reply, Who};
use crate::policy::acl::Access;

use crew::Crew;
use process::{Call, Returned};

/// How long it counts that a module raised an exception: it may be over soon.
const RAISED: Duration = Duration::from_millis(500);

/// Which module runs, and how.
#[derive(Clone)]
pub struct PythonSettings {
    /// Its name.
    pub module: String,
    /// Folders in which it is looked for first.
    pub path: Vec<PathBuf>,
    /// The interpreter.
    pub interpreter: String,
    /// What `plugin_init` gets.
    pub opts: Vec<(String, String)>,
    /// How many processes there are.
    pub workers: usize,
    /// The longest time of a call.
    pub timeout: Duration,
    /// Who the processes run as; `None`: as the gateway.
    pub user: Option<SystemUser>,
    /// The most address space of a process in bytes; `usize::MAX`: no limit.
    pub memory: usize,
    /// As what a subscription is asked about: `auto`, `read` or `subscribe`.
    pub subscribe: &'static str,
}

/// A user of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemUser {
    /// Its number.
    pub uid: u32,
    /// The number of its group. It gets no other.
    pub gid: u32,
}

/// A module. Its processes are started by [`Remote::start`], or when it is asked for the first time.
pub struct PythonBackend(Arc<Inner>);

struct Inner {
    settings: PythonSettings,
    crew: OnceLock<Crew>,
    /// Held while they are started.
    starting: Mutex<()>,
}

impl SystemUser {
    /// The user called `name` in the lines of `/etc/passwd`.
    pub fn find(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(name);
            let numbers = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_it.then_some(SystemUser { uid: numbers.0, gid: numbers.1 })
        })
    }
}

impl PythonBackend {
    /// A backend; nothing runs yet.
    pub fn new(settings: PythonSettings) -> Self {
        PythonBackend(Arc::new(Inner { settings, crew: OnceLock::new(), starting: Mutex::default() }))
    }

    fn crew(&self) -> Option<&Crew> {
        self.0.crew.get()
    }
}

impl Inner {
    /// Starts the processes if they do not run. Blocks.
    fn start(&self) -> Result<(), String> {
        let _one_at_a_time = self.starting.lock();
        if self.crew.get().is_none() {
            // Nobody else sets it meanwhile.
            let _ = self.crew.set(Crew::start(self.settings.clone())?);
        }
        Ok(())
    }
}

impl Remote for PythonBackend {
    fn answers(&self, question: &Question) -> bool {
        let able = self.crew().map(|crew| crew.able);
        match question {
            Question::Login(_) => able.is_none_or(|able| able.login),
            Question::May(..) => able.is_none_or(|able| able.acl),
            _ => false,
        }
    }

    fn minds_payload(&self) -> bool {
        self.crew().is_some_and(|crew| crew.able.minds_payload)
    }

    fn ask<'a>(&'a self, who: &'a Who, question: &'a Question) -> Asking<'a> {
        Box::pin(async move {
            if self.crew().is_none() {
                let inner = self.0.clone();
                let started = tokio::task::spawn_blocking(move || inner.start()).await;
                started.map_err(Failure::lasting)?.map_err(Failure::lasting)?;
            }
            let Some(crew) = self.crew() else { return Err(Failure::lasting("it does not run")) };
            // A text that is none could not be the argument of a function of the older brokers either.
            let Some(call) = call(who, question) else {
                return Ok(Reply::new(Answer::Unknown, "a password that is no text"));
            };
            match crew.ask(call).await {
                Ok(Returned::Value(true)) => Ok(Reply::new(Answer::Allow, "the module returned true")),
                Ok(Returned::Value(false)) => Ok(Reply::new(Answer::Unknown, "the module returned false")),
                Ok(Returned::Raised(what)) => {
                    let reply = Reply::new(Answer::Deny, format!("the module raised {what}"));
                    Ok(Reply { lifetime: Some(RAISED), ..reply })
                }
                Err(fault) => Err(Failure::passing(fault)),
            }
        })
    }

    fn start(&self) -> Result<(), String> {
        self.0.start()
    }

    fn reload(&self) {
        if let Some(crew) = self.crew() {
            crew.reload();
        }
    }

    fn stop(&self) {
        if let Some(crew) = self.crew() {
            crew.stop();
        }
    }
}

/// The function of the module that a question is for, with its arguments; `None` if they cannot be told in Python's text.
fn call(who: &Who, question: &Question) -> Option<Call> {
    let Who { user, client_id, anonymous, .. } = who;
    Some(match question {
        Question::Login(password) => {
            let password = std::str::from_utf8(&password.0).ok()?;
            Call { name: "unpwd_check", arguments: json!([&**user, password]), payload: Vec::new() }
        }
        Question::Superuser | Question::Stored | Question::Filters(_) => return None,
        Question::May(access, topic, payload) => {
            let user = (!anonymous).then_some(&**user);
            let arguments = json!([&**client_id, user, &**topic, number(*access)]);
            let payload = payload.as_deref().unwrap_or_default().to_vec();
            Call { name: "acl_check", arguments, payload }
        }
    })
}

fn number(access: Access) -> u8 {
    match access {
        Access::PUBLISH => 2,
        Access::SUBSCRIBE => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_the_system_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nnobodyelse:x:1:1::/:/\nbroken\nnobody:x:65534:65533::/:/\n";
        assert_eq!(SystemUser::find(passwd, "nobody"), Some(SystemUser { uid: 65534, gid: 65533 }));
        assert_eq!(SystemUser::find(passwd, "x"), None);
        assert_eq!(SystemUser::find(passwd, "broken"), None);
    }
}
