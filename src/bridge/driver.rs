//! The task of a bridge: connects, moves bytes, and begins anew when the connection is lost.

use std::{
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::watch,
    time::{sleep_until, timeout},
};

use crate::broker::{Broker, Link};
use crate::mqtt::ReasonCode;

use super::{
    Dial, Keeper, Settings, Stream,
    backoff::Backoff,
    exchange::{Exchange, Fault, Open},
    spool::Spool,
    status::{Status, Told, status},
};

/// Messages read back from disk at a time, and their bytes.
const READ_BACK: (usize, usize) = (512, 512 * 1024);
/// Bytes that are read from the socket at a time.
const CHUNK: usize = 64 * 1024;
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
    /// Rung when rights or the lock have changed.
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
            exchange.lost(Instant::now());
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
                let _ = timeout(wait, stopped).await;
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
        let (reader, writer) = tokio::io::split(stream);
        let sending = Sending { writer, bytes: Vec::new(), written: 0, flushed: true, full: false };
        let mut wire = Wire { reader, incoming: Vec::new(), sending };
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
        wire.sending.finish(&mut exchange.out).await
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
        let mut opened = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        let mut checks = Box::pin(self.anew(context));
        let mut due = exchange.tick(opened)?;
        let mut was_open = false;
        loop {
            let now = Instant::now();
            let taken = exchange.read(&wire.incoming, now)?;
            wire.incoming.drain(..taken);
            if exchange.link.is_pressed() {
                exchange.link.room().await;
                continue;
            }
            if exchange.open && !was_open {
                was_open = true;
                opened = now;
                self.look(exchange)?;
                due = exchange.tick(now)?;
            }
            if !exchange.open && now >= opened + self.settings.timeout {
                return Err(End::Lost("the answer to CONNECT took too long".into()));
            }
            if was_open {
                backoff.lasted(now.saturating_duration_since(opened));
            }
            if now >= due {
                due = exchange.tick(now)?;
            }
            if let Some(from) = exchange.pump(now) {
                self.read_back(exchange, from).await?;
                continue;
            }
            wire.sending.take(&mut exchange.out);
            let reads = exchange.reads();
            tokio::select! {
                read = wire.reader.read_buf(&mut wire.incoming), if reads => {
                    if read? == 0 {
                        return Err(End::Lost("the remote broker closed the connection".into()));
                    }
                }
                sent = wire.sending.send(), if !wire.sending.flushed => {
                    if sent? {
                        exchange.pulse.taken = Instant::now();
                    }
                }
                () = self.spool.bell.notified() => {}
                outcome = std::future::poll_fn(|cx| poll_told(exchange, &self.bell, cx)) => outcome?,
                () = sleep_until(due.into()) => {}
                _ = look.tick() => self.look(exchange)?,
                why = &mut checks => return Err(End::Anew(why)),
                _ = stop.wait_for(|stop| *stop) => return Err(End::Stop),
            }
        }
    }

    /// Reads messages back from disk.
    async fn read_back(&self, exchange: &mut Exchange, from: u64) -> Result<(), End> {
        let mut ticket = exchange.link.journal().commit();
        // What is not durable yet cannot be read back.
        std::future::poll_fn(|cx| ticket.poll(cx)).await.map_err(|error| End::Lost(error.to_string()))?;
        let (keeper, name) = (self.keeper.clone(), self.settings.name.clone());
        let under_way = exchange.under_way();
        let read = blocking(move || match under_way.is_empty() {
            true => keeper.read(&name, from, READ_BACK.0, READ_BACK.1),
            false => under_way.into_iter().try_fold(Vec::new(), |mut read, seq| {
                read.extend(keeper.read(&name, seq, 1, 1)?);
                Ok(read)
            }),
        })
        .await;
        let read = read
            .ok_or(End::Stop)?
            .map_err(|error| End::Lost(format!("the spool cannot be read: {error}")))?;
        exchange.loaded(from, read);
        Ok(())
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

/// Waits for commits, and for changes of rights and of the lock.
fn poll_told(
    exchange: &mut Exchange,
    bell: &AtomicWaker,
    cx: &mut std::task::Context<'_>,
) -> Poll<Result<(), End>> {
    bell.register(cx.waker());
    if exchange.review()? {
        return Poll::Ready(Ok(()));
    }
    exchange.poll_tickets(cx).map_err(End::from)
}

/// What a connection depends on.
struct Context {
    dial: Arc<dyn Dial>,
    address: usize,
    stamp: Vec<u8>,
}

/// The two halves of a connection.
struct Wire {
    reader: ReadHalf<Box<dyn Stream>>,
    incoming: Vec<u8>,
    sending: Sending,
}

/// What is on its way to the socket.
struct Sending {
    writer: WriteHalf<Box<dyn Stream>>,
    bytes: Vec<u8>,
    /// How many of them the socket has taken.
    written: usize,
    flushed: bool,
    /// Whether the socket took nothing more when it was last asked.
    full: bool,
}

impl Sending {
    /// Takes what is to be sent, once everything before it was.
    fn take(&mut self, out: &mut Vec<u8>) {
        if self.written < self.bytes.len() || out.is_empty() {
            return;
        }
        self.bytes.clear();
        self.written = 0;
        if self.bytes.capacity() > 4 * CHUNK {
            self.bytes = Vec::new();
        }
        std::mem::swap(&mut self.bytes, out);
        self.flushed = false;
    }

    /// Writes a part of it, or flushes once all is written. Whether the far end has taken something: the socket was full and
    /// is no longer. That it takes a few bytes says nothing.
    async fn send(&mut self) -> Result<bool, End> {
        let done = std::future::poll_fn(|cx| {
            let writer = Pin::new(&mut self.writer);
            let polled = match self.written == self.bytes.len() {
                true => writer.poll_flush(cx).map_ok(|()| None),
                false => writer.poll_write(cx, &self.bytes[self.written..]).map_ok(Some),
            };
            self.full |= polled.is_pending();
            polled
        });
        match done.await? {
            None => self.flushed = true,
            Some(0) => return Err(End::Lost("the remote broker takes nothing more".into())),
            Some(count) => self.written += count,
        }
        Ok(std::mem::take(&mut self.full))
    }

    /// Writes all of it and closes.
    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), End> {
        loop {
            self.take(out);
            if self.flushed {
                break;
            }
            self.send().await?;
        }
        self.writer.shutdown().await?;
        Ok(())
    }
}

/// Does what blocks elsewhere; `None` if the gateway ends.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
