//! The other end of the tour's bridge: a second gateway, which stands for a cloud, and what the tour shows with it.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::time::timeout;

use super::{PATIENCE, Tour, allow, client, say, secret, wait_for};
use crate::cli::{admin, bridge, client::Client};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::mqtt::{Properties, QoS};
use crate::policy::{acl::Access, auth::password};
use crate::store::AccountsDb;

/// A broker with two users: the bridge, and a dashboard that watches over what it brings.
pub(super) struct Cloud {
    gateway: Gateway,
    config: Config,
    pub address: SocketAddr,
    pub dashboard: String,
}

impl Cloud {
    /// Starts it in `folder`; the bridge's password is left in the file `password` there.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("cloud.toml");
        let text = "[gateway]\nid = \"cloud\"\nstate = \"cloud\"\n[panel]\ndriver = \"none\"\n";
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let mut config = Config::load(Some(&file))?;
        config.listeners[0].address = ([127, 0, 0, 1], 0).into();
        let accounts = AccountsDb::open(&config.gateway.state)?;
        let (bridge, dashboard) = (secret()?, secret()?);
        for (user, secret) in [("demo", &bridge), ("dashboard", &dashboard)] {
            accounts.add_user(user, Some(&password::hash(secret.as_bytes())?), false)?;
            for access in [Access::READ, Access::WRITE] {
                accounts.add_rule(&allow(user, access, "devices/demo/#"))?;
            }
        }
        std::fs::write(folder.join("password"), bridge)?;
        let gateway = Gateway::start(&config).await?;
        let address = gateway.listening().first().context("the cloud has no listener")?.1;
        // So that it comes back where it was.
        config.listeners[0].address = address;
        Ok(Cloud { gateway, config, address, dashboard })
    }

    pub async fn stop(self) -> Away {
        let Cloud { gateway, config, address, dashboard } = self;
        gateway.stop().await;
        Away { config, address, dashboard }
    }

    /// The dashboard, which gets what the bridge brings.
    async fn watch(&self) -> anyhow::Result<Client> {
        let mut dashboard = client(self.address, "dashboard", &self.dashboard).await?;
        let granted = dashboard.subscribe(&["devices/demo/lamp/changed"], QoS::AtLeastOnce).await?;
        ensure!(!granted[0].reason.is_failure(), "the dashboard may not subscribe: {}", granted[0].reason);
        Ok(dashboard)
    }
}

/// The cloud while it does not run.
pub(super) struct Away {
    config: Config,
    address: SocketAddr,
    dashboard: String,
}

impl Away {
    async fn back(self) -> anyhow::Result<Cloud> {
        let Away { config, address, dashboard } = self;
        let gateway = Gateway::start(&config).await.context("the cloud does not come back")?;
        Ok(Cloud { gateway, config, address, dashboard })
    }
}

impl Tour {
    /// Sends a message to the cloud, one back, and one while the cloud is away.
    pub(super) async fn show_bridge(&self, cloud: Cloud, lamp: &mut Client) -> anyhow::Result<Cloud> {
        wait_for(async || Ok(self.bridge().await?["connected"] == true)).await?;
        say(&format!(
            "7. The bridge. A second gateway, on {}, stands for the cloud. Lamp sends {{\"on\":false}} to lamp/changed:",
            cloud.address
        ))?;
        let mut dashboard = cloud.watch().await?;
        let none = Properties::default;
        self.report(lamp, b"{\"on\":false}", false).await?;
        say(&format!("   in the cloud, dashboard {}", received(&mut dashboard).await?))?;
        say("   And back. Dashboard sends {\"on\":true} to devices/demo/lamp/set_config there:")?;
        let (topic, on) = ("devices/demo/lamp/set_config", b"{\"on\":true}");
        let sent = dashboard.publish(topic, on, QoS::AtLeastOnce, false, none()).await?;
        ensure!(!sent.reason.is_failure(), "it was refused: {}", sent.reason);
        say(&format!("   lamp {}\n", received(lamp).await?))?;

        say(
            "8. The cloud goes away. Lamp sends {\"on\":true} to lamp/changed, and is told that it is safe:",
        )?;
        drop(dashboard);
        let away = cloud.stop().await;
        wait_for(async || Ok(self.bridge().await?["connected"] == false)).await?;
        // Retained: the dashboard may come back later than the message.
        self.report(lamp, b"{\"on\":true}", true).await?;
        say(&backlog(&self.bridge().await?))?;
        say("   The cloud is back:")?;
        let cloud = away.back().await?;
        let mut dashboard = cloud.watch().await?;
        say(&format!("   dashboard {}", received(&mut dashboard).await?))?;
        wait_for(async || Ok(self.bridge().await?["queued_messages"] == 0)).await?;
        say(&backlog(&self.bridge().await?))?;
        dashboard.disconnect().await?;
        Ok(cloud)
    }

    /// The lamp says how it is; `retain`: for whoever comes later too.
    async fn report(&self, lamp: &mut Client, state: &[u8], retain: bool) -> anyhow::Result<()> {
        let sent =
            lamp.publish("lamp/changed", state, QoS::AtLeastOnce, retain, Properties::default()).await?;
        ensure!(!sent.reason.is_failure(), "it was refused: {}", sent.reason);
        Ok(())
    }

    /// What `bridge status` shows of the one bridge.
    async fn bridge(&self) -> anyhow::Result<Value> {
        let state = self.state.clone();
        let answer =
            tokio::task::spawn_blocking(move || admin::ask(&state, "GET", "/bridges", None)).await??;
        Ok(answer["bridges"][0].clone())
    }
}

async fn received(client: &mut Client) -> anyhow::Result<String> {
    let message = timeout(PATIENCE, client.next_message()).await.context("the message did not arrive")??;
    Ok(format!("received {} on {}", String::from_utf8_lossy(&message.payload), message.topic))
}

/// The lines of `bridge status` about what waits and what went.
fn backlog(status: &Value) -> String {
    let text = bridge::as_text(&Value::Array(vec![status.clone()]));
    let told =
        text.lines().filter(|line| ["backlog", "out"].iter().any(|word| line.trim_start().starts_with(word)));
    let told: Vec<String> =
        told.map(|line| format!("   latchgate bridge status: {}", line.trim_start())).collect();
    told.join("\n")
}
