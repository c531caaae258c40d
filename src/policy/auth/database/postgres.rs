//! The backend `postgres`.

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    io,
    pin::{Pin, pin},
    task,
};

use futures_util::TryStreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Config, NoTls, Row,
    config::SslMode,
    tls::{ChannelBinding, TlsConnect, TlsStream},
    types::{FromSql, IsNull, Kind, ToSql, Type, private::BytesMut},
};

use super::{
    queries::{Cell, LONGEST, MOST_ROWS, Rows, Value},
    remote::Driver,
    statement::{Sql, Statement},
};
use crate::policy::auth::server::{Server, ServerError, Stream, Trouble};

/// PostgreSQL.
pub(super) struct Postgres {
    server: Server,
    config: Config,
}

/// A connection, with the statements that it has prepared.
pub(super) struct Connection {
    client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
    /// Reads and writes. It ends with the connection.
    task: tokio::task::AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Driver for Postgres {
    type Connection = Connection;
    const SQL: Sql = Sql::Postgres;

    fn new(server: Server) -> Result<Self, ServerError> {
        let mut config = Config::new();
        config.user(&server.settings.user).application_name("latchgate");
        if !server.settings.database.is_empty() {
            config.dbname(&server.settings.database);
        }
        if let Some(password) = &server.settings.password {
            config.password(&password.0);
        }
        config.ssl_mode(if server.is_encrypted() { SslMode::Require } else { SslMode::Disable });
        Ok(Postgres { server, config })
    }

    fn server(&self) -> &Server {
        &self.server
    }

    async fn connect(&self) -> Result<Connection, String> {
        let socket = format!(".s.PGSQL.{}", self.server.settings.port);
        match self.server.reach(Some(&socket)).await.map_err(|error| error.to_string())? {
            Stream::Tcp(stream) if self.server.is_encrypted() => {
                self.attach(stream, Secure(&self.server)).await
            }
            Stream::Tcp(stream) => self.attach(stream, NoTls).await,
            Stream::Socket(stream) => self.attach(stream, NoTls).await,
        }
    }

    async fn query(
        &self,
        connection: &mut Connection,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Rows, Trouble> {
        let prepared = match connection.prepared.get(&statement.text) {
            Some(prepared) => prepared.clone(),
            None => {
                let prepared =
                    connection.client.prepare(&statement.text).await.map_err(|error| trouble(&error))?;
                connection.prepared.insert(statement.text.clone(), prepared.clone());
                prepared
            }
        };
        let bound: Vec<Bound> = values.iter().map(Bound::of).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> =
            bound.iter().map(|one| one as &(dyn ToSql + Sync)).collect();
        let mut first = Vec::new();
        let asked = async {
            let mut rows = pin!(connection.client.query_raw(&prepared, parameters).await?);
            while first.len() < MOST_ROWS
                && let Some(row) = rows.try_next().await?
            {
                cells(&row, &mut first);
            }
            Ok(())
        };
        asked.await.map_err(|error: tokio_postgres::Error| {
            // After a change of the schema a prepared statement may be none any more.
            connection.prepared.clear();
            trouble(&error)
        })?;
        Ok(Rows { columns: prepared.columns().len(), first })
    }
}

impl Postgres {
    async fn attach<S, T>(&self, stream: S, tls: T) -> Result<Connection, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: TlsConnect<S, Stream: Send + 'static>,
    {
        let (client, driver) =
            self.config.connect_raw(stream, tls).await.map_err(|error| in_words(&error))?;
        // Whoever asks is told that it is broken.
        let task = tokio::spawn(async move { drop(driver.await) }).abort_handle();
        Ok(Connection { client, prepared: HashMap::new(), task })
    }
}

/// What is bound, in the text form that every type of column can read.
#[derive(Debug)]
struct Bound(String);

impl Bound {
    fn of(value: &Value<'_>) -> Self {
        Bound(match value {
            Value::Text(text) => (*text).to_owned(),
            Value::Number(number) => number.to_string(),
        })
    }
}

impl ToSql for Bound {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> tokio_postgres::types::Format {
        tokio_postgres::types::Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A column of any type.
struct Column(Vec<Cell>);

impl<'a> FromSql<'a> for Column {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        if let Kind::Array(_) = kind.kind() {
            let texts = Vec::<Option<String>>::from_sql(kind, raw)?;
            let cell = |text: Option<String>| text.map_or(Cell::Null, Cell::Text);
            return Ok(Column(texts.into_iter().map(cell).collect()));
        }
        let number = match *kind {
            Type::BOOL => Some(i64::from(bool::from_sql(kind, raw)?)),
            Type::INT2 => Some(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Some(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Some(i64::from_sql(kind, raw)?),
            // As SUM gives it: zero has no digits.
            Type::NUMERIC => Some(i64::from(raw.first_chunk() != Some(&[0, 0]))),
            _ => None,
        };
        let cell = match (number, std::str::from_utf8(raw)) {
            (Some(number), _) => Cell::Number(number),
            (None, Ok(text)) if is_text(kind) && text.len() <= LONGEST => Cell::Text(text.to_owned()),
            (None, _) if is_text(kind) => Cell::Other("a text that is too long"),
            _ => Cell::Other("a value of another type than text"),
        };
        Ok(Column(vec![cell]))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Column(vec![Cell::Null]))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn is_text(kind: &Type) -> bool {
    let known = [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN, Type::BYTEA];
    // Such as citext.
    known.contains(kind) || matches!(kind.kind(), Kind::Enum(_)) || kind.name() == "citext"
}

/// The first column; an array of texts is as many rows.
fn cells(row: &Row, out: &mut Vec<Cell>) {
    match row.is_empty() {
        true => {}
        false => match row.try_get::<_, Column>(0) {
            Ok(Column(cells)) => out.extend(cells.into_iter().take(MOST_ROWS.saturating_sub(out.len()))),
            Err(_) => out.push(Cell::Other("a value that cannot be read")),
        },
    }
}

fn trouble(error: &tokio_postgres::Error) -> Trouble {
    match error.as_db_error() {
        // Of class 57 are those by which it ends connections.
        Some(said) if !said.code().code().starts_with("57") => Trouble::Refused(in_words(error)),
        _ => Trouble::Broken(in_words(error)),
    }
}

/// What happened, without the values it happened with.
fn in_words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Encrypts a connection once the server has agreed to.
struct Secure<'a>(&'a Server);

/// An encrypted connection.
struct SecureStream<S>(tokio_rustls::client::TlsStream<S>);

type Securing<'a, S> = Pin<Box<dyn Future<Output = io::Result<SecureStream<S>>> + Send + 'a>>;

impl<'a, S> TlsConnect<S> for Secure<'a>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = SecureStream<S>;
    type Error = io::Error;
    type Future = Securing<'a, S>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { Ok(SecureStream(self.0.secure(stream).await?)) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for SecureStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        // The certificate is verified, with its name: that is what the binding would show.
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SecureStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SecureStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
