//! Single events, as they are planned.
