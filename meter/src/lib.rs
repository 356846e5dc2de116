//! Distributions of times, for threads that may not wait: recording one costs some nanoseconds, memory is bounded, and who wants
//! to know takes the whole away and leaves an empty one.
//!
//! ```text
//!   hot thread   Mutex<figures>: locked once per batch ──┐
//!                                                        │ swapped once a second against what was emptied
//!   collector    empty figures  <────────────────────────┘
//! ```

mod bands;
mod distribution;

pub use bands::{BANDS, EDGES_US, band};
pub use distribution::{Distribution, LONGEST, Resolution};
