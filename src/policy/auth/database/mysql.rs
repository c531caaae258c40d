//! The backend `mysql`: MySQL and MariaDB.

use mysql_async::{
    ClientIdentity, Conn, Error, Opts, OptsBuilder, Params, SslOpts, Value as Column, prelude::Queryable,
};

use super::{
    queries::{Cell, LONGEST, MOST_ROWS, Rows, Value},
    remote::Driver,
    statement::{Sql, Statement},
};
use crate::policy::auth::server::{Server, ServerError, Trouble, identity_files, trusted_files};

/// MySQL or MariaDB.
pub(super) struct Mysql {
    options: Opts,
    server: Server,
}

impl Driver for Mysql {
    type Connection = Conn;
    const SQL: Sql = Sql::Mysql;

    fn new(server: Server) -> Result<Self, ServerError> {
        let settings = &server.settings;
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut options = OptsBuilder::default()
            .ip_or_hostname(settings.host.clone())
            .tcp_port(settings.port)
            .user(text(&settings.user))
            .pass(server.password())
            .db_name(text(&settings.database))
            .socket(settings.socket.as_ref().map(|path| path.to_string_lossy().into_owned()))
            // Else it would ask the server for its socket, and leave TLS behind.
            .prefer_socket(settings.socket.is_some())
            .stmt_cache_size(8)
            .setup(vec!["SET NAMES utf8mb4"]);
        if server.is_encrypted() {
            let authorities = trusted_files(settings)?;
            let authorities = authorities.into_iter().map(Into::into).collect();
            let identity = identity_files(settings)?
                .map(|[certificate, key]| ClientIdentity::new(certificate.into(), key.into()));
            let tls = SslOpts::default()
                .with_disable_built_in_roots(true)
                .with_root_certs(authorities)
                .with_client_identity(identity);
            options = options.ssl_opts(tls);
        }
        Ok(Mysql { options: options.into(), server })
    }

    fn server(&self) -> &Server {
        &self.server
    }

    async fn connect(&self) -> Result<Conn, String> {
        Conn::new(self.options.clone()).await.map_err(|error| in_words(&error))
    }

    async fn query(
        &self,
        connection: &mut Conn,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Rows, Trouble> {
        let values: Vec<Column> = values
            .iter()
            .map(|value| match value {
                Value::Text(text) => Column::from(*text),
                Value::Number(number) => Column::from(*number),
            })
            .collect();
        let parameters = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
        let mut found = connection
            .exec_iter(statement.text.as_str(), parameters)
            .await
            .map_err(|error| trouble(&error))?;
        let columns = found.columns_ref().len();
        let mut first = Vec::new();
        while let Some(mut row) = found.next().await.map_err(|error| trouble(&error))? {
            if first.len() < MOST_ROWS {
                first.push(row.take(0).map_or(Cell::Null, cell));
            }
        }
        found.drop_result().await.map_err(|error| trouble(&error))?;
        Ok(Rows { columns, first })
    }
}

fn cell(column: Column) -> Cell {
    match column {
        Column::NULL => Cell::Null,
        Column::Int(number) => Cell::Number(number),
        Column::UInt(number) => Cell::Number(i64::try_from(number).unwrap_or(i64::MAX)),
        Column::Bytes(bytes) if bytes.len() > LONGEST => Cell::Other("a text that is too long"),
        Column::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cell::Text(text),
            Err(_) => Cell::Other("bytes that are no text"),
        },
        _ => Cell::Other("a value of another type than text"),
    }
}

fn trouble(error: &Error) -> Trouble {
    match error {
        // By these it ends connections: it stops, or is tired of waiting.
        Error::Server(said) if !matches!(said.code, 1053 | 1152 | 1158..=1161 | 1927 | 3169 | 4031) => {
            Trouble::Refused(in_words(error))
        }
        _ => Trouble::Broken(in_words(error)),
    }
}

/// What happened. What the server says of it may repeat values, so only its number is told.
fn in_words(error: &Error) -> String {
    match error {
        Error::Server(said) => format!("the server says error {} ({})", said.code, said.state),
        error => error.to_string(),
    }
}
