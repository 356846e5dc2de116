//! An outcome for people and for programs: text, files, a page.

mod files;
mod text;

pub use files::{hgrm, write_folder};
pub use text::{interval_line, text};
