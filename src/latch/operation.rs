//! What can be asked of the service, one method each.

use hyper::Method;
use serde_json::{Map, Value};

use super::{Client, Error, Id, Status, Token, answer};

/// Operations and instances of one list that are taken over.
const MOST: usize = 10_000;

/// What pairing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    /// The account that the application knows the phone's owner by.
    pub account: Id,
    /// Whether it was paired before.
    pub already: bool,
}

/// One operation of the application.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OperationRow {
    /// Its identifier.
    pub id: Id,
    /// Its name, as the phone shows it.
    pub name: String,
}

/// One instance of an account.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct InstanceRow {
    /// Its identifier.
    pub id: Id,
    /// Its name, as the phone shows it.
    pub name: String,
}

impl Client {
    /// Pairs the phone that shows `token`.
    pub async fn pair(&self, token: &Token) -> Result<Paired, Error> {
        let answer = self.call(Method::GET, &format!("pair/{}", token.as_str()), &[]).await?;
        // "Already paired" is told with the account.
        if answer.error.as_ref().is_some_and(|refusal| refusal.code == 205)
            && let Ok(account) = answer::id(&answer.data, "accountId")
        {
            return Ok(Paired { account, already: true });
        }
        let account = answer::id(&answer.accepted()?, "accountId")?;
        Ok(Paired { account, already: false })
    }

    /// Ends a pairing. That it has ended already is no error.
    pub async fn unpair(&self, account: &Id) -> Result<(), Error> {
        match self.call(Method::GET, &format!("unpair/{account}"), &[]).await?.accepted() {
            Err(error) if error.code() == Some(201) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Is the application, an operation of it or an instance open for the account? Asked without a one-time password and
    /// silently, so that no phone rings.
    pub async fn status(
        &self,
        account: &Id,
        operation: Option<&Id>,
        instance: Option<&Id>,
    ) -> Result<Status, Error> {
        let path = format!("status/{}/nootp/silent", place(account, operation, instance));
        let asked = instance.or(operation).unwrap_or(self.application());
        Status::read(&self.call(Method::GET, &path, &[]).await?.accepted()?, asked)
    }

    /// Locks what `status` asks about, as the phone would.
    pub async fn lock(
        &self,
        account: &Id,
        operation: Option<&Id>,
        instance: Option<&Id>,
    ) -> Result<(), Error> {
        let path = format!("lock/{}", place(account, operation, instance));
        self.call(Method::POST, &path, &[]).await?.accepted().map(drop)
    }

    /// Unlocks it.
    pub async fn unlock(
        &self,
        account: &Id,
        operation: Option<&Id>,
        instance: Option<&Id>,
    ) -> Result<(), Error> {
        let path = format!("unlock/{}", place(account, operation, instance));
        self.call(Method::POST, &path, &[]).await?.accepted().map(drop)
    }

    /// What happened to the account, between two times in milliseconds since 1970 if they are given; as the service
    /// tells it.
    pub async fn history(
        &self,
        account: &Id,
        between: Option<(u64, u64)>,
    ) -> Result<Map<String, Value>, Error> {
        let path = match between {
            Some((from, to)) => format!("history/{account}/{from}/{to}"),
            None => format!("history/{account}"),
        };
        self.call(Method::GET, &path, &[]).await?.accepted()
    }

    /// Every operation of the application.
    pub async fn operations(&self) -> Result<Vec<OperationRow>, Error> {
        let data = self.call(Method::GET, "operation", &[]).await?.accepted()?;
        let rows = named(data.get("operations").unwrap_or(&Value::Null));
        Ok(rows.map(|(id, name)| OperationRow { id, name }).collect())
    }

    /// Makes an operation directly below the application.
    pub async fn create_operation(&self, name: &str) -> Result<Id, Error> {
        let parameters = [
            ("parentId", self.application().as_str()),
            ("name", name),
            ("two_factor", "DISABLED"),
            ("lock_on_request", "DISABLED"),
        ];
        answer::id(&self.call(Method::PUT, "operation", &parameters).await?.accepted()?, "operationId")
    }

    /// Deletes an operation, for every account.
    pub async fn delete_operation(&self, operation: &Id) -> Result<(), Error> {
        self.call(Method::DELETE, &format!("operation/{operation}"), &[]).await?.accepted().map(drop)
    }

    /// Every instance of the account directly below the application.
    pub async fn instances(&self, account: &Id) -> Result<Vec<InstanceRow>, Error> {
        let data = self.call(Method::GET, &format!("instance/{account}"), &[]).await?.accepted()?;
        // Some versions of the service put the list one level deeper.
        let list = data.get("instances").cloned().unwrap_or(Value::Object(data));
        Ok(named(&list).map(|(id, name)| InstanceRow { id, name }).collect())
    }

    /// Makes an instance of that name for the account.
    pub async fn create_instance(&self, account: &Id, name: &str) -> Result<Id, Error> {
        let answer = self.call(Method::PUT, &format!("instance/{account}"), &[("instances", name)]).await?;
        let data = answer.accepted()?;
        let made = data.get("instances").and_then(Value::as_object).and_then(|made| made.keys().next());
        let wrong = || Error::Nonsense("its answer names no instance".to_owned());
        Id::new(made.ok_or_else(wrong)?).map_err(|_| wrong())
    }

    /// Deletes an instance. That it is gone already is no error.
    pub async fn delete_instance(&self, account: &Id, instance: &Id) -> Result<(), Error> {
        let path = format!("instance/{account}/i/{instance}");
        match self.call(Method::DELETE, &path, &[]).await?.accepted() {
            Err(error) if error.code() == Some(301) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The account with what is below it, in the order the service wants.
fn place(account: &Id, operation: Option<&Id>, instance: Option<&Id>) -> String {
    let mut path = account.to_string();
    for (word, id) in [("op", operation), ("i", instance)] {
        if let Some(id) = id {
            path.push_str(&format!("/{word}/{id}"));
        }
    }
    path
}

/// Identifiers with their names.
fn named(list: &Value) -> impl Iterator<Item = (Id, String)> + use<> {
    let entries: Vec<(Id, String)> = list
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(id, value)| {
            Some((Id::new(id).ok()?, value["name"].as_str().unwrap_or_default().to_owned()))
        })
        .take(MOST)
        .collect();
    entries.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_path_stand_in_the_services_order() {
        let [account, operation, instance] = ["ACC", "OP", "INST"].map(|id| Id::new(id).unwrap());
        assert_eq!(place(&account, None, None), "ACC");
        assert_eq!(place(&account, Some(&operation), Some(&instance)), "ACC/op/OP/i/INST");
        assert_eq!(place(&account, None, Some(&instance)), "ACC/i/INST");
    }
}
