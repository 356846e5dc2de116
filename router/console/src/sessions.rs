//! Who is signed in. Kept in memory alone: a restart signs everybody out.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::TryRngCore;

use crate::operators::Operator;

/// Without a click for so long, a session ends. An open page keeps that of somebody who may only look.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// So long after the sign-in it ends anyhow.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(12 * 3600);
const SESSIONS_MAX: usize = 256;
/// Of one session; who opens more loses the first.
const FORMS_MAX: usize = 64;
/// Tries without the role that are kept of one session: the trail is for ever.
const FORBIDDEN_MAX: u32 = 20;

#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// As he was when he signed in.
    pub(crate) operator: Operator,
    /// Stands in every form; a page of somebody else cannot know it.
    pub(crate) form_token: String,
    since: Instant,
    seen: Instant,
    /// Numbers of forms that were shown and not sent yet, the oldest first: each is carried out once.
    forms: VecDeque<String>,
    /// What was tried without the role for it.
    forbidden: u32,
    /// Told on the next page, once.
    notice: Option<String>,
}

#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

/// 128 random bits from the system, as hex.
fn token() -> Option<String> {
    let mut bytes = [0; 16];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.seen) > IDLE_MAX || now.duration_since(self.since) > AGE_MAX
    }
}

impl Sessions {
    /// The token of a new session; none while there are too many, or when the system has no random numbers.
    pub(crate) fn begin(&self, operator: &Operator, now: Instant) -> Option<String> {
        let (token, form_token) = (token()?, token()?);
        let mut all = self.0.lock();
        all.retain(|_, session| !session.is_over(now));
        if all.len() >= SESSIONS_MAX {
            return None;
        }
        let session = Session {
            operator: operator.clone(),
            form_token,
            since: now,
            seen: now,
            forms: VecDeque::new(),
            forbidden: 0,
            notice: None,
        };
        all.insert(token.clone(), session);
        Some(token)
    }

    /// The session of this token, if it has not ended. A click makes it last.
    pub(crate) fn find(&self, token: &str, now: Instant, is_click: bool) -> Option<Session> {
        let mut all = self.0.lock();
        let session = all.get_mut(token)?;
        if session.is_over(now) {
            all.remove(token);
            return None;
        }
        if is_click {
            session.seen = now;
        }
        Some(session.clone())
    }

    pub(crate) fn end(&self, token: &str) {
        self.0.lock().remove(token);
    }

    /// The number of a form that is about to be shown; none when the session has ended.
    pub(crate) fn show_form(&self, token: &str) -> Option<String> {
        let number = self::token()?;
        let mut all = self.0.lock();
        let forms = &mut all.get_mut(token)?.forms;
        if forms.len() == FORMS_MAX {
            forms.pop_front();
        }
        forms.push_back(number.clone());
        Some(number)
    }

    /// Whether a form of this number was shown and is sent for the first time.
    pub(crate) fn take_form(&self, token: &str, number: &str) -> bool {
        let mut all = self.0.lock();
        let Some(session) = all.get_mut(token) else { return false };
        let place = session.forms.iter().position(|own| own == number);
        place.is_some_and(|place| session.forms.remove(place).is_some())
    }

    /// Whether one more try without the role is to be kept.
    pub(crate) fn count_forbidden(&self, token: &str) -> bool {
        let mut all = self.0.lock();
        let Some(session) = all.get_mut(token) else { return false };
        session.forbidden = session.forbidden.saturating_add(1);
        session.forbidden <= FORBIDDEN_MAX
    }

    pub(crate) fn tell(&self, token: &str, notice: String) {
        if let Some(session) = self.0.lock().get_mut(token) {
            session.notice = Some(notice);
        }
    }

    pub(crate) fn take_notice(&self, token: &str) -> Option<String> {
        self.0.lock().get_mut(token)?.notice.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Operator {
        Operator::with_hash("ann", "$argon2id$")
    }

    #[test]
    fn a_session_ends_by_itself_and_by_word() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let token = sessions.begin(&ann(), start).unwrap();
        assert_eq!(sessions.find(&token, start, true).unwrap().operator, ann());
        assert!(sessions.find("", start, true).is_none());
        assert!(sessions.find(&token, start + IDLE_MAX, false).is_some(), "looking is no click");
        assert!(sessions.find(&token, start + IDLE_MAX + Duration::from_secs(1), true).is_none());

        let token = sessions.begin(&ann(), start).unwrap();
        let mut now = start;
        while now < start + AGE_MAX {
            assert!(sessions.find(&token, now, true).is_some());
            now += IDLE_MAX;
        }
        assert!(sessions.find(&token, now + Duration::from_secs(1), true).is_none(), "clicks do not keep it for ever");

        let token = sessions.begin(&ann(), start).unwrap();
        sessions.tell(&token, "done".into());
        assert_eq!(sessions.take_notice(&token).as_deref(), Some("done"));
        assert_eq!(sessions.take_notice(&token), None);
        sessions.end(&token);
        assert!(sessions.find(&token, start, true).is_none());
    }

    #[test]
    fn a_form_is_sent_once() {
        let sessions = Sessions::default();
        let token = sessions.begin(&ann(), Instant::now()).unwrap();
        let (first, second) = (sessions.show_form(&token).unwrap(), sessions.show_form(&token).unwrap());
        assert!(sessions.take_form(&token, &second) && sessions.take_form(&token, &first));
        assert!(!sessions.take_form(&token, &first), "sent before");
        assert!(!sessions.take_form(&token, "") && !sessions.take_form("", &first));
        let first = sessions.show_form(&token).unwrap();
        (0..FORMS_MAX).for_each(|_| _ = sessions.show_form(&token));
        assert!(!sessions.take_form(&token, &first), "too many were opened since");
        let kept = (0..30).filter(|_| sessions.count_forbidden(&token)).count();
        assert_eq!((kept, sessions.count_forbidden("")), (FORBIDDEN_MAX as usize, false));
    }

    #[test]
    fn there_are_not_more_than_so_many() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let begun = (0..SESSIONS_MAX + 1).filter_map(|_| sessions.begin(&ann(), start)).count();
        assert_eq!(begun, SESSIONS_MAX);
        assert!(sessions.begin(&ann(), start + IDLE_MAX + Duration::from_secs(1)).is_some(), "the old ones are over");
    }
}
