//! Status and reason codes, and what each means to the person who meets it.
//!
//! The codes are those of the ISO 20022 external code sets (`ExternalPaymentTransactionStatus1Code`,
//! `ExternalStatusReason1Code`), and a few of our own where ISO has none. One table says for each what happened and
//! who must act; `crosstie errors` prints it.

use std::fmt;
use std::str::FromStr;

use wincode::{SchemaRead, SchemaWrite};

use crate::{Error, Result};

/// Transaction status (ISO 20022 `TxSts`), four ASCII letters on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, SchemaRead, SchemaWrite)]
pub struct Status([u8; 4]);

impl Status {
    /// The creditor agent's yes.
    pub const ACTC: Status = Status(*b"ACTC");
    /// The creditor agent's yes, without posting to its customer yet.
    pub const ACWP: Status = Status(*b"ACWP");
    /// Settled: the switch's confirmation to both.
    pub const ACSC: Status = Status(*b"ACSC");
    /// Posted to the creditor's account, said after settlement.
    pub const ACCC: Status = Status(*b"ACCC");
    /// Still being checked, said after ACWP.
    pub const PDNG: Status = Status(*b"PDNG");
    /// Will be neither posted nor returned, said after ACWP.
    pub const BLCK: Status = Status(*b"BLCK");
    /// Rejected.
    pub const RJCT: Status = Status(*b"RJCT");
    /// Accepted for settlement, not final: funds are set aside and the creditor agent has been asked.
    pub const ACSP: Status = Status(*b"ACSP");

    pub const ALL: [Status; 8] = [
        Status::ACTC,
        Status::ACWP,
        Status::ACSC,
        Status::ACCC,
        Status::PDNG,
        Status::BLCK,
        Status::RJCT,
        Status::ACSP,
    ];

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("????")
    }

    pub fn from_bytes(bytes: [u8; 4]) -> Result<Self> {
        let status = Status(bytes);
        status.check("status")?;
        Ok(status)
    }

    pub(crate) fn check(&self, field: &'static str) -> Result<()> {
        if Self::ALL.contains(self) {
            return Ok(());
        }
        Err(Error::field_is(field, format!("{:?} is no status of this protocol", String::from_utf8_lossy(&self.0))))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Why not: four ASCII capital letters or digits. Sixteen zero bits per missing letter never occur; all zero is "none".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, SchemaRead, SchemaWrite)]
pub struct Reason([u8; 4]);

impl Reason {
    pub const NONE: Reason = Reason([0; 4]);

    pub const fn new(code: &[u8; 4]) -> Self {
        Reason(*code)
    }

    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("????")
    }

    /// The same four bytes as a number.
    pub fn number(&self) -> u32 {
        u32::from_be_bytes(self.0)
    }

    pub fn explanation(&self) -> Option<&'static Explanation> {
        EXPLANATIONS.iter().find(|explanation| explanation.code == *self)
    }

    pub(crate) fn check(&self, field: &'static str) -> Result<()> {
        if self.0.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return Ok(());
        }
        Err(Error::field_is(
            field,
            format!("{:?} is no reason code: four capital letters or digits", String::from_utf8_lossy(&self.0)),
        ))
    }
}

impl FromStr for Reason {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bytes = <[u8; 4]>::try_from(text.as_bytes())
            .map_err(|_| Error::field_is("reason", format!("{text:?} is no reason code of four characters")))?;
        Reason(bytes).check("reason")?;
        Ok(Reason(bytes))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(if self.is_none() { "-" } else { self.as_str() })
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Up to four reasons, the first one found first. What is beyond four is left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, SchemaRead, SchemaWrite)]
pub struct Reasons([Reason; 4]);

impl Reasons {
    pub const NONE: Reasons = Reasons([Reason::NONE; 4]);

    pub fn one(reason: Reason) -> Self {
        Reasons([reason, Reason::NONE, Reason::NONE, Reason::NONE])
    }

    pub fn add(&mut self, reason: Reason) {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none() || **place == reason) {
            *place = reason;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    pub fn first(&self) -> Reason {
        self.0[0]
    }

    pub fn iter(&self) -> impl Iterator<Item = Reason> + '_ {
        self.0.iter().copied().take_while(|reason| !reason.is_none())
    }

    pub fn has(&self, reason: Reason) -> bool {
        self.iter().any(|own| own == reason)
    }

    pub(crate) fn check(&self, field: &'static str) -> Result<()> {
        let used = self.iter().count();
        if self.0[used..].iter().any(|reason| !reason.is_none()) {
            return Err(Error::field_is(field, "a reason stands behind an empty place"));
        }
        self.iter().try_for_each(|reason| reason.check(field))
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.pad("-");
        }
        formatter.pad(&self.iter().map(|reason| reason.as_str().to_string()).collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Debug for Reasons {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Who has to do something about a reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    DebtorAgent,
    CreditorAgent,
    Operator,
    Nobody,
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Actor::DebtorAgent => "debtor agent",
            Actor::CreditorAgent => "creditor agent",
            Actor::Operator => "operator",
            Actor::Nobody => "nobody",
        })
    }
}

/// One line of the catalogue.
pub struct Explanation {
    pub code: Reason,
    /// What happened, in a sentence.
    pub meaning: &'static str,
    /// Who must act.
    pub act: Actor,
    /// What to do next.
    pub advice: &'static str,
    /// True when the answer is recorded and will stay; false when the same UETR may be sent again.
    pub is_final: bool,
}

macro_rules! catalogue {
    ($($name:ident $code:literal $act:ident $final:ident $meaning:literal $advice:literal;)*) => {
        impl Reason {
            $(#[doc = $meaning] pub const $name: Reason = Reason(*$code);)*
        }
        /// Every reason that the switch itself gives, and those of participants that are worth explaining.
        pub const EXPLANATIONS: &[Explanation] = &[
            $(Explanation { code: Reason::$name, meaning: $meaning, act: Actor::$act, advice: $advice, is_final: stays!($final) },)*
        ];
    };
}
macro_rules! stays {
    (stays) => {
        true
    };
    (again) => {
        false
    };
}

catalogue! {
    AB03 b"AB03" Nobody stays "The payment's clock had run out before it could be set aside." "Send a new payment with a new UETR and a fresh timestamp.";
    AB05 b"AB05" CreditorAgent stays "The creditor agent did not answer in time; the funds were released." "The creditor agent should look at its answer times; the payer may pay again with a new UETR.";
    AB08 b"AB08" CreditorAgent stays "The creditor agent is signed off." "Wait until it has signed on, then send a new payment.";
    AC01 b"AC01" DebtorAgent stays "The account number is wrong." "Correct the account and send a new payment.";
    AC03 b"AC03" DebtorAgent stays "The creditor's account number is invalid or missing." "Correct the account and send a new payment.";
    AC04 b"AC04" DebtorAgent stays "The creditor's account is closed." "Ask the creditor for another account.";
    AC06 b"AC06" DebtorAgent stays "The creditor's account is blocked." "Ask the creditor; the creditor agent does not accept postings to it.";
    AG01 b"AG01" DebtorAgent stays "The transaction is forbidden between these agents or on this account." "Do not send it again as it is.";
    AG09 b"AG09" DebtorAgent again "No such payment is known." "If you sent it, send it again with the same UETR.";
    AGNT b"AGNT" DebtorAgent stays "The agent named in the message is not the one it concerns." "Correct the agents and send a new message.";
    AM01 b"AM01" DebtorAgent stays "The amount is zero or negative." "Correct the amount and send a new payment.";
    AM02 b"AM02" DebtorAgent stays "The amount is above the debtor agent's own limit for one payment." "Have the limit raised, or pay in parts.";
    AM04 b"AM04" DebtorAgent stays "The debtor agent's position has not enough available funds." "Fund the position, then send a new payment.";
    AM09 b"AM09" DebtorAgent stays "The amount is not what was agreed, or returns exceed the original." "Correct the amount.";
    AM13 b"AM13" DebtorAgent stays "The amount is above the limit of the switch for one payment." "Pay in parts, or by another rail.";
    AM23 b"AM23" DebtorAgent stays "The debtor agent's net debit cap would be exceeded." "Wait for incoming payments or have the cap raised; funding alone does not help.";
    CNOR b"CNOR" DebtorAgent stays "The creditor agent is not registered at this switch." "Check the creditor agent's identifier.";
    CURR b"CURR" DebtorAgent stays "The debtor or creditor agent holds no position in this currency." "Use a currency that both agents hold.";
    DT04 b"DT04" DebtorAgent stays "The timestamp lies in the future by more than the accepted skew." "Set the clock, then send a new payment.";
    DUPL b"DUPL" DebtorAgent stays "The UETR was used before with other content; the original is untouched." "Use a new UETR for a new payment.";
    FR01 b"FR01" CreditorAgent stays "Returned because of fraud." "Follow your fraud procedure.";
    FOCR b"FOCR" CreditorAgent stays "Returned following a cancellation request." "Nothing; the recall was granted.";
    MS02 b"MS02" CreditorAgent stays "The creditor refused, without a reason." "Ask the creditor.";
    MS03 b"MS03" CreditorAgent stays "The creditor agent refused, without a reason." "Ask the creditor agent.";
    NARR b"NARR" CreditorAgent stays "The reason stands in the additional information." "Read it.";
    RR04 b"RR04" CreditorAgent stays "Refused for a regulatory reason." "Ask the creditor agent; do not send it again.";
    TM01 b"TM01" CreditorAgent stays "Received after the cut-off time." "Send a new payment in opening hours.";
    E996 b"E996" DebtorAgent stays "Less time was left on the payment's clock than the creditor agent must be given." "Send sooner after the timestamp is set; send a new payment.";
    S946 b"S946" Operator stays "The debtor agent is suspended from sending." "Ask the operator of the switch.";
    S947 b"S947" Operator stays "The creditor agent is suspended from receiving." "Ask the operator of the switch.";
    LATE b"LATE" CreditorAgent stays "The answer came after the payment had ended; nothing was changed." "Do not post it. Look at your answer times.";
    OPEN b"OPEN" Nobody again "The payment is still in process." "Wait for its final status; it comes by itself.";
    BUSY b"BUSY" DebtorAgent again "Too many of your payments are in process at once." "Wait for some to end, then send the same payment again.";
    FULL b"FULL" Operator again "The switch is short of disk space and takes no new payments; those in process will finish." "Send the same payment again later; the operator must free space.";
    DRAN b"DRAN" Operator again "The node takes no participants or no new payments: it is being stopped or drained, or is a witness." "Connect to a node that the message names, or to another one, and send the same payment.";
    STAL b"STAL" DebtorAgent again "The timestamp is older than the duplicate window, so the switch cannot tell whether it has seen it." "Ask for its status; if it is unknown, send a new payment with a new UETR.";
    SIGN b"SIGN" DebtorAgent again "Sign on first." "Send SignOn before anything else.";
    SUPR b"SUPR" DebtorAgent again "A newer session of the same participant took over." "Do not connect again: find out which of your programs holds the newer session.";
    VERS b"VERS" DebtorAgent again "Client and switch have no protocol version in common." "Use a client library of a version that the switch speaks.";
    IDLE b"IDLE" DebtorAgent again "Nothing was heard from this connection for longer than silence_max_ms." "Connect again; send a heartbeat every third of that time.";
    SOFF b"SOFF" Nobody again "The participant signed off; the session is over." "Connect and sign on to take part again.";
    FORM b"FORM" DebtorAgent again "The message breaks the protocol." "Correct the field named in the text.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_explained_once() {
        for (place, explanation) in EXPLANATIONS.iter().enumerate() {
            assert!(explanation.code.check("reason").is_ok());
            assert!(EXPLANATIONS[..place].iter().all(|other| other.code != explanation.code), "{}", explanation.code);
            assert!(explanation.meaning.ends_with('.') && explanation.advice.ends_with('.'), "{}", explanation.code);
        }
    }

    #[test]
    fn reasons_keep_the_first_four_once_each() {
        let mut reasons = Reasons::NONE;
        for reason in [Reason::AM04, Reason::AM04, Reason::AB08, Reason::CURR, Reason::AM13, Reason::AM02] {
            reasons.add(reason);
        }
        assert_eq!(reasons.to_string(), "AM04 AB08 CURR AM13");
    }
}
