//! Databases of other programs, asked by queries in SQL.
//!
//! A query comes from the configuration; what clients send is only ever bound to its placeholders. What a table holds is
//! as hostile as what a client sends: it is bounded, and what cannot be understood allows nothing.

mod mysql;
mod postgres;
mod queries;
mod remote;
mod sqlite;
mod statement;

use super::{backend::Remote, server::ServerSettings};

pub(super) use queries::number;
pub use queries::{QueryError, QueryKind, QuerySettings};
pub use remote::DatabaseError;
pub use sqlite::{SqliteBackend, SqliteError};

/// A MySQL or MariaDB server; nothing is connected yet. Blocks.
///
/// # Errors
/// Queries or certificates that cannot be used.
pub fn mysql(server: ServerSettings, settings: &QuerySettings) -> Result<Box<dyn Remote>, DatabaseError> {
    Ok(Box::new(remote::SqlServer::<mysql::Mysql>::new(server, settings)?))
}

/// A PostgreSQL server; nothing is connected yet. Blocks.
///
/// # Errors
/// Queries or certificates that cannot be used.
pub fn postgres(server: ServerSettings, settings: &QuerySettings) -> Result<Box<dyn Remote>, DatabaseError> {
    Ok(Box::new(remote::SqlServer::<postgres::Postgres>::new(server, settings)?))
}
