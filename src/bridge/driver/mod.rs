//! The task of a bridge: connects, moves bytes, and begins anew when the connection is lost.

mod turns;

use std::{
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{sleep_until, timeout},
};

use crate::broker::{Broker, Journal, Link};
use crate::clock;
use crate::mqtt::ReasonCode;

use super::{
    Dial, Keeper, KeptMessage, Settings,
    backoff::Backoff,
    exchange::{Exchange, Fault, Open},
    spool::Spool,
    status::{Status, Told, status},
    wire::Wire,
};

use turns::{Pause, Turns};

/// Messages read back from disk at a time, and their bytes.
const READ_BACK: (usize, usize) = (512, 512 * 1024);
/// How often health is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the last bytes may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A bridge; its task runs as long as [`Bridge::run`] is polled.
pub struct Bridge {
    settings: Arc<Settings>,
    spool: Arc<Spool>,
    keeper: Arc<dyn Keeper>,
    told: Mutex<Told>,
    exchange: tokio::sync::Mutex<Exchange>,
    /// Rung when rights or the lock have changed, and when there is something to send.
    bell: Arc<AtomicWaker>,
}

/// How a connection ended.
enum End {
    Stop,
    /// The first address can be reached again, or files have changed.
    Anew(&'static str),
    /// To the same address, so that the remote broker sends again what the lock kept out.
    Again(Fault),
    /// The bridge leaves the remote broker.
    Left(Fault),
    Lost(String),
}

impl End {
    /// Whether it was this gateway that ended it, for what it has itself to do or cannot take.
    fn is_ours(&self) -> bool {
        match self {
            End::Stop | End::Anew(_) | End::Again(_) => true,
            End::Left(fault) => matches!(fault, Fault::TooLarge | Fault::NoRoom(_)),
            End::Lost(_) => false,
        }
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        End::Lost(error.to_string())
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unlocked => End::Again(fault),
            _ => End::Left(fault),
        }
    }
}

impl Bridge {
    /// Takes up what was kept and begins to spool; nothing is connected before [`Bridge::run`].
    pub fn open(settings: Settings, broker: &Arc<Broker>, keeper: Arc<dyn Keeper>) -> Arc<Self> {
        let settings = Arc::new(settings);
        let bell = Arc::new(AtomicWaker::new());
        let link = Link::new(broker, &settings.name, settings.peer.clone(), bell.clone());
        let mut kept = keeper.kept(&settings.name);
        let open = Open {
            received: std::mem::take(&mut kept.received),
            session: kept.session.take(),
            arrived: std::mem::take(&mut kept.ledgers_in),
        };
        let routes: Vec<_> = settings.outgoing().map(|route| (route.label.clone(), route.qos)).collect();
        let (mut spool, before) = Spool::new(
            settings.name.clone(),
            link.key(),
            &routes,
            settings.bounds,
            settings.live_first,
            keeper.clone(),
            kept,
        );
        spool.peer.clone_from(&settings.peer);
        spool.bell = bell.clone();
        let spool = Arc::new(spool);
        let now = Instant::now();
        let mut exchange = Exchange::new(settings.clone(), spool.clone(), link, before, open);
        for (number, route) in settings.outgoing().enumerate() {
            if spool.is_new(number) {
                exchange.offer_retained_of(number, now);
            }
            exchange.link.attach(&route.local, spool.clone(), number);
        }
        exchange.announce_here(false, now);
        exchange.link.rest();
        let mut told = Told::new(now);
        told.ledgers_in.clone_from(&exchange.ledgers_in);
        let told = Mutex::new(told);
        Arc::new(Bridge { settings, spool, keeper, told, exchange: tokio::sync::Mutex::new(exchange), bell })
    }

    /// What an operator sees.
    pub fn status(&self) -> Status {
        let (amount, queued) = self.spool.amount();
        status(&self.settings, self.told.lock().clone(), amount, &queued, Instant::now())
    }

    /// Connects again and again until `stop` says true; then says farewell.
    pub async fn run(self: Arc<Self>, dial: Arc<dyn Dial>, mut stop: watch::Receiver<bool>) {
        let mut exchange = self.exchange.lock().await;
        let (least, most) = self.settings.retry;
        let mut backoff = Backoff::new(least, most);
        let mut address = 0;
        while !*stop.borrow() {
            self.told.lock().address = address;
            let end = self.connect(&mut exchange, &dial, address, &mut backoff, &mut stop).await;
            exchange.lost(end.is_ours(), Instant::now());
            let _ = self.look(&mut exchange);
            exchange.link.rest();
            let bridge = &self.settings.name;
            let error = match end {
                End::Stop => break,
                End::Anew(why) => {
                    tracing::info!(%bridge, why, "the bridge connects anew");
                    address = 0;
                    continue;
                }
                End::Again(why) => {
                    tracing::info!(%bridge, %why, "the bridge connects anew");
                    continue;
                }
                End::Left(fault) => {
                    if fault.comes_again() {
                        backoff.stuck();
                    }
                    fault.to_string()
                }
                End::Lost(error) => error,
            };
            let to = &self.settings.addresses[address];
            if self.told.lock().error.as_ref() != Some(&error) {
                tracing::warn!(%bridge, to, error, "the bridge is not connected");
            }
            {
                let mut told = self.told.lock();
                told.last_error = Some((error.clone(), Instant::now()));
                told.error = Some(error);
            }
            address = (address + 1) % self.settings.addresses.len();
            // A list is gone through at once; the wait is between rounds.
            if address == 0 {
                let wait = backoff.wait();
                let stopped = async { while stop.changed().await.is_ok() && !*stop.borrow() {} };
                tokio::select! {
                    _ = timeout(wait, stopped) => {}
                    // What was waited for is there.
                    () = clock::becomes_set() => {}
                }
            }
        }
    }

    async fn connect(
        &self,
        exchange: &mut Exchange,
        dial: &Arc<dyn Dial>,
        address: usize,
        backoff: &mut Backoff,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        let (asked, stamped) = (dial.clone(), dial.clone());
        let stamp = blocking(move || stamped.stamp()).await.unwrap_or_default();
        let password = match blocking(move || asked.password()).await {
            Some(Ok(password)) => password,
            Some(Err(error)) => return End::Lost(error),
            None => return End::Lost("the password could not be read".into()),
        };
        let dialed = tokio::select! {
            dialed = timeout(self.settings.timeout, dial.dial(address)) => dialed,
            _ = stop.wait_for(|stop| *stop) => return End::Stop,
        };
        let stream = match dialed {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return End::Lost(error.to_string()),
            Err(_) => return End::Lost("connecting took too long".into()),
        };
        exchange.begin(address, password.as_deref(), Instant::now());
        drop(password);
        let mut wire = Wire::new(stream);
        let context = Context { dial: dial.clone(), address, stamp };
        let end = self.serve(exchange, &mut wire, &context, backoff, stop).await;
        match end {
            Ok(()) => End::Stop,
            Err(end) => {
                let reason = match &end {
                    End::Lost(_) => None,
                    End::Left(fault) => fault.farewell(),
                    _ => Some(ReasonCode::Success),
                };
                if let Some(reason) = reason {
                    let _ = timeout(LAST_WORDS, self.leave(exchange, &mut wire, reason)).await;
                }
                end
            }
        }
    }

    /// Sends what is owed for what was taken on, and says farewell.
    async fn leave(&self, exchange: &mut Exchange, wire: &mut Wire, reason: ReasonCode) -> Result<(), End> {
        // What could not be stored is owed no answer.
        let _ = std::future::poll_fn(|cx| exchange.poll_owed(cx)).await;
        exchange.end(reason, Instant::now());
        Ok(wire.finish(&mut exchange.out).await?)
    }

    /// Moves bytes until something ends it.
    async fn serve(
        &self,
        exchange: &mut Exchange,
        wire: &mut Wire,
        context: &Context,
        backoff: &mut Backoff,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), End> {
        let now = Instant::now();
        let due = exchange.tick(now)?;
        let timer = Box::pin(sleep_until(due.into()));
        let mut turns = Turns { bridge: self, opened: now, was_open: false, due, timer, reading: None };
        let mut look = tokio::time::interval(LOOK);
        let mut checks = pin!(self.anew(context));
        let mut stopped = pin!(async { drop(stop.wait_for(|stop| *stop).await) });
        loop {
            let pause = std::future::poll_fn(|cx| {
                if stopped.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(End::Stop));
                }
                if let Poll::Ready(why) = checks.as_mut().poll(cx) {
                    return Poll::Ready(Err(End::Anew(why)));
                }
                while look.poll_tick(cx).is_ready() {
                    self.look(exchange)?;
                }
                turns.poll(exchange, wire, backoff, cx)
            });
            match pause.await? {
                Pause::Room => exchange.link.room().await,
                Pause::Load(from) => {
                    let journal = exchange.link.journal().clone();
                    let read = self.read_back(from, Some(exchange.under_way()), journal).await?;
                    exchange.loaded(from, read);
                }
            }
        }
    }

    /// Reads messages back from disk, from number `from` on; after a restart those that were under way.
    async fn read_back(
        &self,
        from: u64,
        restored: Option<Vec<u64>>,
        journal: Arc<dyn Journal>,
    ) -> Result<Vec<KeptMessage>, End> {
        // What is not durable yet cannot be read back. Of a backlog most is; after a restart, releases wait for a commit too,
        // and go first.
        let mut commit = restored.is_some();
        let under_way = restored.unwrap_or_default();
        loop {
            if commit {
                let mut ticket = journal.commit();
                let done = std::future::poll_fn(|cx| ticket.poll(cx)).await;
                done.map_err(|error| End::Lost(error.to_string()))?;
            }
            let (keeper, name, under_way) =
                (self.keeper.clone(), self.settings.name.clone(), under_way.clone());
            let read = blocking(move || match under_way.is_empty() {
                true => keeper.read(&name, from, READ_BACK.0, READ_BACK.1),
                false => under_way.into_iter().try_fold(Vec::new(), |mut read, seq| {
                    read.extend(keeper.read(&name, seq, 1, 1)?);
                    Ok(read)
                }),
            });
            let read = read.await.ok_or(End::Stop)?;
            let read = read.map_err(|error| End::Lost(format!("the spool cannot be read: {error}")))?;
            if commit || read.first().is_some_and(|kept| kept.seq == from) {
                return Ok(read);
            }
            commit = true;
        }
    }

    /// Waits for a reason to connect anew.
    async fn anew(&self, context: &Context) -> &'static str {
        let mut files = tokio::time::interval(LOOK);
        let mut back = tokio::time::interval(self.settings.return_after);
        back.tick().await;
        let mut last = context.stamp.clone();
        loop {
            tokio::select! {
                _ = files.tick() => {
                    let dial = context.dial.clone();
                    let stamp = blocking(move || dial.stamp()).await.unwrap_or_default();
                    // A change counts once it has settled.
                    if stamp != context.stamp && stamp == last {
                        return "certificates or passwords have changed";
                    }
                    last = stamp;
                }
                _ = back.tick(), if context.address != 0 => {
                    if let Ok(Ok(_)) = timeout(self.settings.timeout, context.dial.dial(0)).await {
                        return "the first address can be reached again";
                    }
                }
            }
        }
    }

    /// Looks at the health, tells those who want to know, and answers who asks why.
    ///
    /// # Errors
    /// If the connection must be made anew.
    fn look(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let now = Instant::now();
        let reviewed = exchange.review();
        exchange.link.tell_tally();
        let connected = exchange.is_connected(now);
        let mut told = self.told.lock();
        told.round_trip = exchange.pulse.round_trip;
        told.arrived = exchange.arrived;
        told.refused.clone_from(&exchange.refused);
        told.ledgers_in.clone_from(&exchange.ledgers_in);
        self.spool.say_what_was_dropped(now);
        if let Some(last) = exchange.trouble.last.take() {
            told.last_error = Some(last);
        }
        told.paced(self.spool.delivered(), now);
        if told.turn(connected, now) {
            let (bridge, to) = (&self.settings.name, &self.settings.addresses[told.address]);
            if connected {
                told.error = None;
                tracing::info!(%bridge, to, "the bridge is connected");
            } else {
                tracing::warn!(%bridge, to, "the bridge is no longer connected");
            }
            drop(told);
            exchange.announce_here(connected, now);
        }
        reviewed.map(drop)
    }
}

/// What a connection depends on.
struct Context {
    dial: Arc<dyn Dial>,
    address: usize,
    stamp: Vec<u8>,
}

/// Does what blocks elsewhere; `None` if the gateway ends.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
