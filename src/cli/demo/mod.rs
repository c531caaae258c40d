//! `latchgate demo`: the newcomer's tour, on a gateway of its own.

mod cloud;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::time::timeout;

use self::cloud::Cloud;
use super::client::{Client, Options};
use super::output;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::mqtt::{Properties, QoS};
use crate::policy::accounts::{RuleRecord, Subject};
use crate::policy::{acl::Access, auth::password};
use crate::store::AccountsDb;
use crate::system::signals::Signals;

/// Take the tour: a gateway on a free loopback port in a temporary directory, with users, rules, clients and
/// a bridge to a second gateway
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after the tour instead of running until Ctrl-C
    #[arg(long)]
    once: bool,
}

/// How long any step of the tour may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows the tour. Fails if anything does not go as it says.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        // It is removed when the demo ends, whatever way it ends.
        let folder = tempfile::Builder::new().prefix("latchgate-demo-").tempdir()?;
        let cloud = Cloud::start(folder.path()).await?;
        let tour = Tour::start(folder.path(), &cloud).await?;
        let cloud = tour.show(cloud).await?;
        if !args.once {
            let mut signals = Signals::new()?;
            tour.invite(&cloud)?;
            signals.next().await;
            say("\nStopping.")?;
        }
        tour.gateway.stop().await;
        cloud.stop().await;
        anyhow::Ok(())
    });
    runtime.shutdown_background();
    done.map(|()| ExitCode::from(super::DONE))
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = output::stdout();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// A gateway with two users: a lamp, and a phone that works it.
struct Tour {
    gateway: Gateway,
    accounts: AccountsDb,
    /// Its configuration, for other commands.
    file: PathBuf,
    state: PathBuf,
    address: SocketAddr,
    lamp: String,
    phone: String,
}

impl Tour {
    async fn start(folder: &std::path::Path, cloud: &Cloud) -> anyhow::Result<Self> {
        // A file, so that commands typed elsewhere can name the same state.
        let file = folder.join("latchgate.toml");
        std::fs::write(&file, configuration(cloud.address))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let mut config = Config::load(Some(&file))?;
        config.listeners[0].address = ([127, 0, 0, 1], 0).into();
        let accounts = AccountsDb::open(&config.gateway.state)?;
        let (lamp, phone) = (secret()?, secret()?);
        for (user, secret) in [("lamp", &lamp), ("phone", &phone)] {
            accounts.add_user(user, Some(&password::hash(secret.as_bytes())?), false)?;
        }
        for (user, access, filter) in [
            ("lamp", Access::READ, "lamp/set_config"),
            ("lamp", Access::WRITE, "lamp/changed"),
            ("phone", Access::WRITE, "lamp/set_config"),
            ("phone", Access::READ, "lamp/#"),
        ] {
            accounts.add_rule(&allow(user, access, filter))?;
        }
        let gateway = Gateway::start(&config).await?;
        let address = gateway.listening().first().context("no listener")?.1;
        let state = config.gateway.state;
        Ok(Tour { gateway, accounts, file, state, address, lamp, phone })
    }

    async fn client(&self, user: &str, secret: &str) -> anyhow::Result<Client> {
        client(self.address, user, secret).await
    }

    async fn show(&self, cloud: Cloud) -> anyhow::Result<Cloud> {
        say(&format!(
            "Latchgate runs on {} with two users, lamp and phone. What no rule allows is refused.\n",
            self.address
        ))?;
        let mut lamp = self.client("lamp", &self.lamp).await?;
        let mut phone = self.client("phone", &self.phone).await?;
        let granted = lamp.subscribe(&["lamp/set_config"], QoS::AtLeastOnce).await?;
        ensure!(!granted[0].reason.is_failure(), "the lamp may not subscribe: {}", granted[0].reason);

        say("1. A permitted publish. Phone sends {\"on\":true} to lamp/set_config:")?;
        let none = Properties::default;
        let sent =
            phone.publish("lamp/set_config", b"{\"on\":true}", QoS::AtLeastOnce, false, none()).await?;
        ensure!(!sent.reason.is_failure(), "it was refused: {}", sent.reason);
        let message = timeout(PATIENCE, lamp.next_message()).await.context("the lamp got nothing")??;
        say(&format!(
            "   lamp received {} on {}\n",
            String::from_utf8_lossy(&message.payload),
            message.topic
        ))?;

        say("2. A refused one. Phone sends \"open\" to door/front:")?;
        let sent = phone.publish("door/front", b"open", QoS::AtLeastOnce, false, none()).await?;
        ensure!(sent.reason.is_failure(), "it was not refused");
        say(&format!("   {}: {}\n", sent.reason, sent.text.as_deref().unwrap_or("no reason given")))?;

        say("3. A new right works at once, without reconnecting. The tour does what \
             `latchgate acl allow phone write door/front` does:")?;
        self.accounts.add_rule(&allow("phone", Access::WRITE, "door/front"))?;
        wait_for(async || {
            let sent = phone.publish("door/front", b"open", QoS::AtLeastOnce, false, none()).await?;
            Ok(!sent.reason.is_failure())
        })
        .await?;
        say("   the same publish is permitted now\n")?;

        say("4. A lost one too, in a live session. The tour does what `latchgate user disable phone` does:")?;
        self.accounts.set_enabled("phone", false)?;
        match timeout(PATIENCE, phone.next_message()).await.context("the phone is still connected")? {
            Ok(message) => bail!("the phone received {} instead", message.topic),
            Err(error) => say(&format!("   phone: {error}\n"))?,
        }
        self.accounts.set_enabled("phone", true)?;
        self.show_button(&mut lamp).await?;
        let cloud = self.show_bridge(cloud, &mut lamp).await?;
        lamp.disconnect().await?;
        Ok(cloud)
    }

    /// Closes the gateway with the simulated button, and opens it again.
    async fn show_button(&self, lamp: &mut Client) -> anyhow::Result<()> {
        let none = Properties::default;
        // Until the gateway has seen that the account is enabled again.
        let mut phone = None;
        wait_for(async || {
            phone = self.client("phone", &self.phone).await.ok();
            Ok(phone.is_some())
        })
        .await?;
        let mut phone = phone.context("phone cannot connect")?;

        say("5. The button. The tour does what `latchgate panel press` does, on a simulated panel:")?;
        say(&format!(
            "   LED: {}\n   Phone sends {{\"on\":false}} to lamp/set_config:",
            self.press().await?
        ))?;
        let sent =
            phone.publish("lamp/set_config", b"{\"on\":false}", QoS::AtLeastOnce, false, none()).await?;
        ensure!(sent.reason.is_failure(), "it was not refused");
        say(&format!("   {}: {}\n", sent.reason, sent.text.as_deref().unwrap_or("no reason given")))?;

        say("6. The button is pressed again. Nobody had to reconnect:")?;
        say(&format!("   LED: {}\n   Phone sends it once more:", self.press().await?))?;
        let sent =
            phone.publish("lamp/set_config", b"{\"on\":false}", QoS::AtLeastOnce, false, none()).await?;
        ensure!(!sent.reason.is_failure(), "it was refused: {}", sent.reason);
        let message = timeout(PATIENCE, lamp.next_message()).await.context("the lamp got nothing")??;
        let payload = String::from_utf8_lossy(&message.payload);
        say(&format!("   lamp received {payload} on {}\n", message.topic))?;
        Ok(phone.disconnect().await?)
    }

    /// Presses the button; what the LED says then.
    async fn press(&self) -> anyhow::Result<String> {
        let panel = self.gateway.press(Duration::from_millis(200)).await.map_err(anyhow::Error::msg)?;
        Ok(format!("{} ({})", panel.looks, panel.code))
    }

    /// How to go on by hand.
    fn invite(&self, cloud: &Cloud) -> anyhow::Result<()> {
        let file = self.file.display();
        let at = format!("-h {} -p {}", self.address.ip(), self.address.port());
        let there = format!("-h {} -p {}", cloud.address.ip(), cloud.address.port());
        say(&format!(
            "\nThe gateway goes on until Ctrl-C. In two other terminals (mosquitto_sub and mosquitto_pub take the same \
             options):\n\n  latchgate sub {at} -u lamp -P {} -t lamp/set_config -v\n  \
             latchgate pub {at} -u phone -P {} -t lamp/set_config -q 1 -m '{{\"on\":false}}'\n\n\
             What the lamp publishes to lamp/changed reaches the cloud, and what is published there for it comes here:\n\n  \
             latchgate sub {there} -u dashboard -P {} -t 'devices/demo/#' -v\n  \
             latchgate pub {there} -u dashboard -P {} -t devices/demo/lamp/set_config -q 1 -m '{{\"on\":true}}'\n\n\
             Commands act on this demo, and not on a gateway of your own, with its configuration:\n\n  \
             latchgate --config {file} user list\n  latchgate --config {file} user disable phone\n  latchgate --config {file} panel press\n  \
             latchgate --config {file} bridge status\n",
            self.lamp, self.phone, cloud.dashboard, cloud.dashboard
        ))
    }
}

/// Of the tour's gateway, whose bridge goes to this address.
fn configuration(cloud: SocketAddr) -> String {
    let route = |topic: &str, direction: &str| {
        format!(
            "[[bridge.route]]\ntopic = \"{topic}\"\ndirection = \"{direction}\"\nqos = 1\n\
             remote_prefix = \"devices/{{gateway.id}}/\"\n"
        )
    };
    format!(
        "[gateway]\nid = \"demo\"\nstate = \"state\"\n\n\
         [[bridge]]\nname = \"cloud\"\naddress = \"mqtt://{cloud}\"\nusername = \"demo\"\npassword_file = \"password\"\n\
         notifications = \"local\"\nretry_min = \"100ms\"\nretry_max = \"500ms\"\n{}{}",
        route("lamp/changed", "out"),
        route("lamp/set_config", "in"),
    )
}

async fn client(address: SocketAddr, user: &str, secret: &str) -> anyhow::Result<Client> {
    let options =
        Options::new(address.ip().to_string(), address.port(), format!("demo-{user}")).login(user, secret);
    Client::connect(&options).await.with_context(|| format!("{user} cannot connect"))
}

fn allow(user: &str, access: Access, filter: &str) -> RuleRecord {
    RuleRecord { subject: Subject::User(user.into()), access, filter: filter.into(), deny: false }
}

/// A password for the time of the demo.
fn secret() -> anyhow::Result<String> {
    let mut random = [0; 6];
    getrandom::fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Asks again until the answer is yes.
async fn wait_for(mut ask: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    timeout(PATIENCE, async {
        while !ask().await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    })
    .await
    .context("it did not come to pass")?
}
