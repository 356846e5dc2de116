//! Asks the node on a thread of its own, so that keys and the age of what is shown do not wait for one that hangs.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use watch::{Actor, Snapshot};

use crate::exit::Failure;

/// The node that is looked at. Its answers may take as long as the person would wait.
pub(crate) trait Source: Send + 'static {
    fn snapshot(&self) -> Result<Snapshot, Failure>;
    /// The one that decides for a participant.
    fn actor(&self, participant: &str) -> Result<Actor, Failure>;
}

/// What came back, or why nothing did.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) snapshot: Result<Snapshot, String>,
    pub(super) actor: Option<Looked>,
}

/// A participant, and the actor that decides for it.
pub(super) type Looked = (String, Result<Actor, String>);

pub(super) struct Reader {
    questions: Sender<Option<String>>,
    answers: Receiver<Answer>,
    is_asking: bool,
}

impl Reader {
    /// Ends with its `Reader`, or with the answer that is waited for then.
    pub(super) fn start(source: impl Source) -> std::io::Result<Reader> {
        let (questions, asked) = channel::<Option<String>>();
        let (answered, answers) = channel();
        let run = move || {
            while let Ok(participant) = asked.recv() {
                let snapshot = source.snapshot().map_err(|failure| failure.message);
                let actor = participant.map(|id| {
                    let actor = source.actor(&id).map_err(told);
                    (id, actor)
                });
                if answered.send(Answer { snapshot, actor }).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("reader".into()).spawn(run)?;
        Ok(Reader { questions, answers, is_asking: false })
    }

    /// Asks for a snapshot, and for the actor of a participant; not again before that is answered.
    pub(super) fn ask(&mut self, participant: Option<String>) -> bool {
        let is_free = !self.is_asking;
        if is_free {
            self.is_asking = self.questions.send(participant).is_ok();
        }
        is_free
    }

    pub(super) fn is_asking(&self) -> bool {
        self.is_asking
    }

    pub(super) fn answer(&mut self, patience: Duration) -> Option<Answer> {
        let answer = self.answers.recv_timeout(patience).ok()?;
        self.is_asking = false;
        Some(answer)
    }
}

fn told(failure: Failure) -> String {
    match failure.next {
        Some(next) => format!("{}; {next}", failure.message),
        None => failure.message,
    }
}
