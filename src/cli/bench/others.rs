//! Clients beside the load: their subscriptions match nothing that is published, but the broker has to know that.

use anyhow::Context as _;

use super::client::{Client, Target};
use crate::mqtt::QoS;

/// Subscriptions of one client.
const EACH: u64 = 1000;
/// Filters in one packet.
const BATCH: usize = 200;

/// Connects clients that have `count` subscriptions together, below `topic`.
///
/// # Errors
/// If one cannot connect or subscribe.
pub async fn connect(target: &Target, id: u32, topic: &str, count: u64) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for first in (0..count).step_by(EACH as usize) {
        let mut client =
            Client::connect(target, &format!("bench-{id:08x}-o{first}")).await.context("a bystander")?;
        let filters: Vec<_> = (first..count.min(first + EACH)).map(|n| filter(topic, n)).collect();
        for batch in filters.chunks(BATCH) {
            client.subscribe(batch, QoS::AtMostOnce).await?;
        }
        clients.push(client);
    }
    Ok(clients)
}

/// A filter that does not match `topic/NUMBER`, in one of four shapes.
fn filter(topic: &str, number: u64) -> String {
    match number % 4 {
        0 => format!("{topic}/other-{number}"),
        1 => format!("{topic}/other-{number}/#"),
        2 => format!("{topic}/+/other-{number}"),
        _ => format!("{topic}/+/other-{number}/+/#"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::TopicFilter;

    #[test]
    fn no_subscription_of_a_bystander_matches_what_is_published() {
        for number in 0..1000 {
            let text = filter("bench", number);
            let filter = TopicFilter::new(&text).unwrap();
            assert!((0..1000).all(|publisher| !filter.matches(&format!("bench/{publisher}"))), "{text}");
        }
    }
}
