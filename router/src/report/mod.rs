//! Reports for treasury: what moved on a business date and the payments it was, and the comparison with a participant's own
//! list. The book knows the sums, the archive the payments; a report that does not find both the same says so.
//!
//! In reading order: `statement` (what one holds), `table` (as CSV), `reconcile` (two lists compared), `standing` (the book by
//! itself), `desk` (asks the switch), `list` (which reports there are).

mod desk;
pub mod list;
pub mod reconcile;
mod standing;
pub mod statement;
mod table;

pub use table::{sha256, statement_csv, totals_csv};
