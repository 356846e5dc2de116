//! An outcome for people and for programs: text, files, a page; and two outcomes side by side.

mod compare;
mod files;
mod html;
mod svg;
mod text;

pub use compare::{Comparison, Line, read_result};
pub use files::{hgrm, write_folder};
pub use html::html;
pub use text::{interval_line, text};
