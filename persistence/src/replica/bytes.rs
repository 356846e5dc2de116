//! Reads numbers and texts out of bytes that somebody else wrote: nothing is taken that is not there.

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cut(pub &'static str);

const SHORT: Cut = Cut("it ends too early");

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Cut> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Cut> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Cut> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Cut> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Cut("neither yes nor no")),
        }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Cut> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Cut> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Cut> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// How many of something follow.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Cut> {
        let count = usize::from(self.u16()?);
        if count <= max { Ok(count) } else { Err(Cut("more of something than there may be")) }
    }

    pub(crate) fn text(&mut self) -> Result<String, Cut> {
        let length = usize::from(self.u8()?);
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Cut("a text that is not UTF-8"))?;
        Ok(text.to_string())
    }

    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn end(self) -> Result<(), Cut> {
        if self.rest.is_empty() { Ok(()) } else { Err(Cut("something follows where nothing should")) }
    }
}

/// At most 255 bytes, which the caller has checked.
pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    assert!(text.len() <= usize::from(u8::MAX), "a text of {} bytes does not fit its length", text.len());
    bytes.push(text.len() as u8);
    bytes.extend_from_slice(text.as_bytes());
}
