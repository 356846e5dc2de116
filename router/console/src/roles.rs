//! Who may what.

use serde::{Deserialize, Serialize};

/// What an operator may do. Everybody who is signed in may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks, and changes nothing.
    Viewer,
    /// Suspends and resumes participants; drains nodes and moves leadership.
    Operator,
    /// Approves what needs a second person.
    Approver,
    /// Brings money in and out, sets limits.
    Treasury,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Approver, Role::Treasury];

    /// As it is written in the file and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Approver => "approver",
            Role::Treasury => "treasury",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let names = Role::ALL.map(Role::name).join(", ");
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or(format!("{text:?} is none of {names}"))
    }
}
