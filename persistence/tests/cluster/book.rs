//! The fold of the simulation: a list of requests. It tells the oracle everything.

use std::io::{self, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use persistence::{Entry, Fold, Freeze, Index, NodeId, Standing};

use crate::oracle::{Oracle, Request};

pub(crate) enum Passenger {
    Writer(Request),
    Reader(Request),
}

pub(crate) struct Book {
    pub(crate) node: NodeId,
    pub(crate) requests: Vec<Request>,
    pub(crate) oracle: Arc<Mutex<Oracle>>,
    /// Whether this node is made to come to another state than it should.
    pub(crate) is_wrong: bool,
}

/// A payload begins with the number of its request.
pub(crate) fn request_in(payload: &[u8]) -> Request {
    payload.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Book {
    fn folded(&self) -> Index {
        self.requests.len() as Index
    }
}

impl Fold for Book {
    type Passenger = Passenger;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        self.requests = bytes.chunks(8).map(request_in).collect();
        self.oracle.lock().restored(self.node, &self.requests);
        Ok(())
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<Passenger>) {
        assert_eq!(entry.index, self.folded() + 1, "entries come in order, each once");
        let request = request_in(entry.payload);
        self.requests.push(request);
        let mut oracle = self.oracle.lock();
        oracle.folded(self.node, entry.index, entry.term, request);
        for passenger in passengers.drain(..) {
            match passenger {
                Passenger::Writer(request) => oracle.acknowledge(self.node, request, entry.index),
                Passenger::Reader(request) => oracle.read(self.node, request, entry.index),
            }
        }
    }

    fn delivered(&mut self, passengers: &mut Vec<Passenger>) {
        for passenger in passengers.drain(..) {
            match passenger {
                Passenger::Reader(request) => self.oracle.lock().read(self.node, request, self.folded()),
                Passenger::Writer(request) => panic!("write {request} came without its entry"),
            }
        }
    }

    fn standing(&mut self, standing: Standing) {
        self.oracle.lock().stands(self.node, standing);
    }

    fn checkpoint(&mut self, _: Index) -> Option<u64> {
        let hash = self.requests.iter().fold(7, |hash: u64, request| hash.wrapping_mul(31).wrapping_add(*request));
        Some(if self.is_wrong { !hash } else { hash })
    }

    fn freeze(&mut self) -> Freeze {
        let requests = self.requests.clone();
        Box::new(move |output: &mut dyn Write| -> io::Result<()> {
            requests.iter().try_for_each(|request| output.write_all(&request.to_le_bytes()))
        })
    }
}
