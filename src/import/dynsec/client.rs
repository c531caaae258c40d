//! A client of the file: an account.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{
    super::{
        homes::{Account, Homes},
        report::{Line, Report, Verdict},
    },
    give, group_role, list, text,
};
use crate::{
    policy::auth::password::{SaltReading, StoredPassword},
    store::accounts::check,
};

use Verdict::{Changed, NotPossible, Translated};

/// Makes the account of a client. `line`: where it begins.
pub(super) fn translate(client: &Value, line: Line, homes: &mut Homes, report: &mut Report) {
    let name = text(client, "username");
    let mut say = |verdict, note: String| report.say(line, verdict, note);
    if let Err(why) = check::user_name(name) {
        return say(NotPossible, format!("no account can have this name: {why}"));
    }
    if homes.accounts.iter().any(|account| account.name == name) {
        return say(NotPossible, "another account has this name".to_owned());
    }
    let stored = stored(client);
    if let Err(why) = &stored {
        say(
            NotPossible,
            format!("its password cannot be used: {why}; give it one: latchgate user password {name}"),
        );
    }
    let was_disabled = client["disabled"].as_bool().unwrap_or(false);
    let bound = text(client, "clientid");
    // Disabled rather than left out: what its roles deny goes on to count, and a certificate of its name lets nobody in.
    let disabled = was_disabled || !bound.is_empty();
    homes.accounts.push(Account {
        name: name.to_owned(),
        stored: stored.ok().flatten(),
        superuser: false,
        disabled,
    });
    if !bound.is_empty() {
        let note = format!(
            "it may use the client identifier {bound:?} alone, and accounts are bound to none here: the account is disabled; if \
             it may use any: latchgate user enable {name}"
        );
        say(if was_disabled { Changed } else { NotPossible }, note);
    }
    let roles = list(&client["roles"]).iter().map(|role| text(role, "rolename").to_owned());
    let groups = list(&client["groups"]).iter().map(|group| group_role(text(group, "groupname")));
    roles.chain(groups).for_each(|role| give(&role, name, homes));
    let may_control = list(&client["roles"]).iter().any(|role| text(role, "rolename") == "admin");
    if may_control {
        say(Changed, "there is no $CONTROL: accounts are made with latchgate user, role and acl".to_owned());
    }
    say(Translated, if disabled { "an account, disabled".to_owned() } else { "an account".to_owned() });
}

/// The stored password of a client; none if it has none.
fn stored(client: &Value) -> Result<Option<String>, String> {
    let (key, salt) = (text(client, "password"), text(client, "salt"));
    if key.is_empty() {
        return Ok(None);
    }
    let form = match text(client, "encoded_password") {
        "" => {
            let iterations = client["iterations"].as_u64().ok_or("the number of iterations is missing")?;
            let plain = |what: &str| {
                BASE64_STANDARD.decode(what).map(|_| ()).map_err(|_| "it is not in base64".to_owned())
            };
            plain(key)?;
            plain(salt)?;
            format!("$7${iterations}${salt}${key}")
        }
        encoded => encoded.to_owned(),
    };
    StoredPassword::parse_reading(&form, SaltReading::Auto).map_err(|error| error.to_string())?;
    Ok(Some(form))
}
