//! What the order of the entries decided in Mosquitto, where here a rule that denies beats all that allow.
//!
//! Mosquitto asks a client's roles by their priorities, then its groups; in a role the filters that are meant literally come
//! before the patterns, and each kind goes by priority. The first that fits decides.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
};

use serde_json::Value;

use super::{entry::Entry, list, text};

/// A role's name and its entries.
pub(super) type Role = (String, Vec<Entry>);
/// An entry: places of its role and in that.
pub(super) type Place = (usize, usize);

/// Puts a role's entries into the order in which Mosquitto asks them.
pub(super) fn sort(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| (!entry.literal, Reverse(entry.priority)));
}

/// The roles, by their places, of everybody who can have some together, in the order in which they are asked.
pub(super) fn holders(json: &Value, roles: &[Role]) -> BTreeSet<Vec<usize>> {
    let places: HashMap<&str, usize> =
        roles.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
    let roles_of = |of: &Value| -> Vec<usize> {
        by_priority(list(&of["roles"]), "rolename")
            .iter()
            .filter_map(|name| places.get(name).copied())
            .collect()
    };
    let groups: HashMap<&str, Vec<usize>> =
        list(&json["groups"]).iter().map(|group| (text(group, "groupname"), roles_of(group))).collect();
    let mut memberships: HashMap<&str, Vec<(&str, i64)>> = HashMap::new();
    for group in list(&json["groups"]) {
        for member in list(&group["clients"]) {
            let priority = member["priority"].as_i64().unwrap_or(0);
            memberships
                .entry(text(member, "username"))
                .or_default()
                .push((text(group, "groupname"), priority));
        }
    }
    // Also those whom nobody has yet.
    let mut all: BTreeSet<Vec<usize>> = (0..roles.len()).map(|at| vec![at]).collect();
    all.extend(groups.values().cloned());
    for client in list(&json["clients"]) {
        let mut own = roles_of(client);
        let mut member: Vec<(&str, i64)> =
            memberships.get(text(client, "username")).cloned().unwrap_or_default();
        for group in list(&client["groups"]) {
            let name = text(group, "groupname");
            if !member.iter().any(|(known, _)| *known == name) {
                member.push((name, group["priority"].as_i64().unwrap_or(0)));
            }
        }
        member.sort_by_key(|(_, priority)| Reverse(*priority));
        own.extend(member.iter().filter_map(|(name, _)| groups.get(name)).flatten());
        all.insert(own);
    }
    all
}

fn by_priority<'a>(entries: &'a [Value], name: &str) -> Vec<&'a str> {
    let mut all: Vec<&Value> = entries.iter().collect();
    all.sort_by_key(|entry| Reverse(entry["priority"].as_i64().unwrap_or(0)));
    all.into_iter().map(|entry| text(entry, name)).collect()
}

/// What denying rules would take that Mosquitto gave, and which of them are not needed.
#[derive(Debug)]
pub(super) struct Losses {
    /// Denials of one filter alone that nobody is allowed who has them: without a rule it stays refused.
    pub idle: HashSet<Place>,
    /// Denials that take more here, each with an entry that it takes something from; none: from what everybody may.
    pub taken: Vec<(Place, Option<Place>)>,
}

/// Finds them. `everyone_subscribes`: whether what no role speaks of can be subscribed to.
pub(super) fn losses(roles: &[Role], holders: &BTreeSet<Vec<usize>>, everyone_subscribes: bool) -> Losses {
    let denials: Vec<Place> = places(roles, 0..roles.len()).filter(|at| entry(roles, *at).deny).collect();
    let literal = |at: &Place| entry(roles, *at).literal;
    let mut idle: HashSet<Place> =
        denials.iter().copied().filter(|at| literal(at) && !everyone_subscribes).collect();
    let mut taken: HashMap<Place, Place> = HashMap::new();
    for holder in holders {
        let asked: Vec<Place> = places(roles, holder.iter().copied()).collect();
        for (number, at) in asked.iter().enumerate().filter(|(_, at)| entry(roles, **at).deny) {
            let denial = entry(roles, *at);
            let allowed = |other: &&Place| {
                let other = entry(roles, **other);
                !other.deny && other.access == denial.access
            };
            // What is denied as one filter takes from every role, for it denies more here; else only what came first is lost.
            let from = if denial.literal { &asked[..] } else { &asked[..number] };
            let loses = |other: &&Place| denial.takes(entry(roles, **other));
            if let Some(other) = from.iter().filter(allowed).find(loses) {
                taken.entry(*at).or_insert(*other);
            }
            // Here a rule that allows one filter allows all within it.
            let opens = |other: &Place| entry(roles, *other).filter.covers(&denial.filter);
            if denial.literal && from.iter().filter(allowed).any(opens) {
                idle.remove(at);
            }
        }
    }
    let counts =
        |at: &Place| !idle.contains(at) && (taken.contains_key(at) || literal(at) && everyone_subscribes);
    let taken = denials.into_iter().filter(counts).map(|at| (at, taken.get(&at).copied())).collect();
    Losses { idle, taken }
}

fn places(roles: &[Role], of: impl Iterator<Item = usize>) -> impl Iterator<Item = Place> {
    of.flat_map(|role| (0..roles[role].1.len()).map(move |at| (role, at)))
}

fn entry(roles: &[Role], (role, at): Place) -> &Entry {
    &roles[role].1[at]
}

impl Entry {
    /// Whether a rule that denies this would refuse something that `other` allows.
    fn takes(&self, other: &Entry) -> bool {
        if other.literal { self.filter.covers(&other.filter) } else { self.filter.overlaps(&other.filter) }
    }
}
