//! The first bytes on a connection, once it is encrypted: who dials, whom, for what; and the answer. Integers are little
//! endian.
//!
//! | hello | field | |
//! |---|---|---|
//! | 0..4 | magic | `XTPR` |
//! | 4..6 | version | `u16`, 1 |
//! | 6 | purpose | 1 messages, 2 one file |
//! | 7 | length | `u8`, of the address |
//! | 8..24 | cluster | `u128` |
//! | 24..32 | from | `u64`, the node that dials |
//! | 32..40 | to | `u64`, the node it means to reach |
//! | 40.. | address | where to answer the dialling node, `host:port`; empty: the one that is dialled knows, or need not |
//!
//! The answer, which also ends a file: `u8` 0 welcome or 1 refused, `u16` length, why in UTF-8.

use std::io::{self, Read, Write};

use crate::{ClusterId, NodeId};

const MAGIC: [u8; 4] = *b"XTPR";
const VERSION: u16 = 1;
const FIXED_BYTES: usize = 40;
pub(crate) const ADDRESS_BYTES_MAX: usize = u8::MAX as usize;
const WORDS_BYTES_MAX: usize = 1024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Purpose {
    Messages = 1,
    File = 2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) purpose: Purpose,
    pub(crate) cluster: ClusterId,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) address: String,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        assert!(self.address.len() <= ADDRESS_BYTES_MAX, "an address of {} bytes", self.address.len());
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.address.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([self.purpose as u8, self.address.len() as u8]);
        bytes.extend(self.cluster.to_le_bytes());
        bytes.extend(self.from.to_le_bytes());
        bytes.extend(self.to.to_le_bytes());
        bytes.extend(self.address.as_bytes());
        bytes
    }

    /// The hello, or in words what is wrong with it.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Result<Hello, String>> {
        let mut fixed = [0; FIXED_BYTES];
        from.read_exact(&mut fixed)?;
        let mut address = vec![0; usize::from(fixed[7])];
        from.read_exact(&mut address)?;
        Ok(Hello::parse(&fixed, address))
    }

    fn parse(fixed: &[u8; FIXED_BYTES], address: Vec<u8>) -> Result<Hello, String> {
        let mut rest = &fixed[..];
        if take(&mut rest) != MAGIC {
            return Err("this is the port between the nodes of a cluster, and it sent no node's hello".into());
        }
        let version = u16::from_le_bytes(take(&mut rest));
        if version != VERSION {
            return Err(format!(
                "it speaks version {version} between nodes, this node speaks {VERSION}; update the older"
            ));
        }
        let [purpose, _] = take(&mut rest);
        let purpose = match purpose {
            1 => Purpose::Messages,
            2 => Purpose::File,
            other => return Err(format!("it wants a connection of the unknown purpose {other}")),
        };
        let address = String::from_utf8(address).ok().filter(|text| !text.contains(char::is_control));
        Ok(Hello {
            purpose,
            cluster: u128::from_le_bytes(take(&mut rest)),
            from: u64::from_le_bytes(take(&mut rest)),
            to: u64::from_le_bytes(take(&mut rest)),
            address: address.ok_or("the address in its hello is no text")?,
        })
    }
}

/// The next bytes of a fixed part, whose size covers all that is taken from it.
fn take<const BYTES: usize>(rest: &mut &[u8]) -> [u8; BYTES] {
    let (taken, remaining) = rest.split_first_chunk().expect("a fixed part covers its fields");
    *rest = remaining;
    *taken
}

/// Answers a hello, or ends a file.
pub(crate) fn write_answer(to: &mut impl Write, answer: &Result<(), String>) -> io::Result<()> {
    let words = answer.as_ref().err().map_or("", String::as_str);
    let words = &words[..words.floor_char_boundary(WORDS_BYTES_MAX)];
    let mut bytes = vec![u8::from(answer.is_err())];
    bytes.extend((words.len() as u16).to_le_bytes());
    bytes.extend(words.as_bytes());
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads what [`write_answer`] wrote.
pub(crate) fn read_answer(from: &mut impl Read) -> io::Result<Result<(), String>> {
    let mut fixed = [0; 3];
    from.read_exact(&mut fixed)?;
    let [verdict, low, high] = fixed;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if length > WORDS_BYTES_MAX || verdict > 1 {
        return Ok(Err("its answer makes no sense".into()));
    }
    let mut words = vec![0; length];
    from.read_exact(&mut words)?;
    // A log line is made of this: nothing that moves a cursor.
    let words: String = String::from_utf8_lossy(&words).chars().filter(|letter| !letter.is_control()).collect();
    Ok(if verdict == 0 { Ok(()) } else { Err(words) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello { purpose: Purpose::File, cluster: 7 << 100, from: 1, to: 2, address: "north:7801".into() }
    }

    #[test]
    fn a_hello_is_read_as_it_was_written() {
        assert_eq!(Hello::read(&mut &hello().encode()[..]).unwrap(), Ok(hello()));
        let cut = hello().encode().len() - 1;
        assert!(Hello::read(&mut &hello().encode()[..cut]).is_err());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (byte, value, word) in
            [(0, b'G', "no node's hello"), (4, 9, "version 9"), (6, 3, "purpose 3"), (40, 0xff, "text")]
        {
            let mut bytes = hello().encode();
            bytes[byte] = value;
            let told = Hello::read(&mut &bytes[..]).unwrap().unwrap_err();
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn an_answer_is_bounded_and_fit_for_a_log() {
        for (given, told) in [(Ok(()), Ok(())), (Err("no\u{1b}[31m é".to_string()), Err("no[31m é".to_string()))] {
            let mut bytes = Vec::new();
            write_answer(&mut bytes, &given).unwrap();
            assert_eq!(read_answer(&mut &bytes[..]).unwrap(), told);
        }
        let mut bytes = Vec::new();
        write_answer(&mut bytes, &Err("é".repeat(5000))).unwrap();
        assert!(bytes.len() <= 3 + WORDS_BYTES_MAX);
        assert!(read_answer(&mut &[1, 0xff, 0xff][..]).unwrap().is_err());
    }
}
