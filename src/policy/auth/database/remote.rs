//! A database server that speaks SQL: its connections, and how a question is put to it.

use std::future::Future;

use super::{
    queries::{Queries, QueryError, QuerySettings, Rows, Value},
    statement::{Sql, Statement},
};
use crate::policy::auth::{
    backend::{Asking, Failure, Question, Remote, Who},
    server::{Pool, Server, ServerError, ServerSettings, Trouble},
};

/// Why a server can never be asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A query is wrong.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The way to the server.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What the servers do each in their own way.
pub(super) trait Driver: Send + Sync + Sized + 'static {
    type Connection: Send;
    const SQL: Sql;

    /// Reads what it needs. Nothing is connected yet. Blocks.
    fn new(server: Server) -> Result<Self, ServerError>;

    /// Where it is.
    fn server(&self) -> &Server;

    /// Connects and logs in. Some judge certificates by themselves, so the server must be ready.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, String>> + Send;

    /// Has a statement carried out. It is prepared once for each connection.
    fn query(
        &self,
        connection: &mut Self::Connection,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Rows, Trouble>> + Send;
}

/// A server that is asked.
pub(super) struct SqlServer<D: Driver> {
    driver: D,
    queries: Queries,
    pool: Pool<D::Connection>,
}

impl<D: Driver> SqlServer<D> {
    pub fn new(server: ServerSettings, settings: &QuerySettings) -> Result<Self, DatabaseError> {
        let queries = Queries::compile(settings, D::SQL)?;
        let pool = Pool::new(server.connections);
        let driver = D::new(Server::new(server)?)?;
        Ok(SqlServer { driver, queries, pool })
    }

    async fn rows(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Rows, Failure> {
        let mut kept = self.pool.take();
        loop {
            let fresh = kept.is_none();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => {
                    self.driver.server().is_ready()?;
                    self.driver.connect().await.map_err(Failure::passing)?
                }
            };
            match self.driver.query(&mut connection, statement, values).await {
                Ok(rows) => {
                    self.pool.give(connection);
                    return Ok(rows);
                }
                Err(Trouble::Refused(what)) => {
                    self.pool.give(connection);
                    return Err(Failure::of_question(what));
                }
                Err(Trouble::Broken(what)) if fresh => return Err(Failure::passing(what)),
                // The server was restarted, or tired of waiting: one try with a new connection.
                Err(Trouble::Broken(_)) => self.pool.clear(),
            }
        }
    }
}

impl<D: Driver> Remote for SqlServer<D> {
    fn answers(&self, question: &Question) -> bool {
        self.queries.about(question).is_some()
    }

    fn ask<'a>(&'a self, who: &'a Who, question: &'a Question) -> Asking<'a> {
        Box::pin(async move {
            let unable = || Failure::of_question("it has no query for this");
            let statement = self.queries.about(question).ok_or_else(unable)?;
            let values = self.queries.values(statement, who, question);
            let rows = self.rows(statement, &values).await?;
            self.queries.read(who, question, rows)
        })
    }
}
