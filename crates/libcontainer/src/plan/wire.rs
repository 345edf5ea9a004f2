//! How a plan travels: little-endian records in one blob, borrowed when read back.
//!
//! This file is compiled twice, into the library and into init, so it uses `core` alone: no allocation, no
//! panics, no formatting. Every read is bounds-checked and answers `None` when the blob is short or malformed.
//!
//! Texts carry their terminating NUL on the wire, so that init hands them to the kernel as they lie.

use core::ffi::CStr;

/// Where encoded bytes go.
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
}

/// Reads a blob from front to back.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// True when everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(len)?;
        self.rest = tail;
        Some(head)
    }

    /// The next four bytes as a number.
    pub fn u32(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The next eight bytes as a number.
    pub fn u64(&mut self) -> Option<u64> {
        let bytes = self.bytes(8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// A value that an op can hold.
pub trait Field<'a>: Sized {
    /// Appends the value.
    fn encode<S: Sink>(&self, sink: &mut S);
    /// Reads the value back.
    fn decode(reader: &mut Reader<'a>) -> Option<Self>;
}

impl Field<'_> for u32 {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.put(&self.to_le_bytes());
    }
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.u32()
    }
}

impl Field<'_> for u64 {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.put(&self.to_le_bytes());
    }
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.u64()
    }
}

/// A place for a file descriptor: written by the parent or by an earlier op, read by later ones.
///
/// A plan names slots instead of descriptor numbers, which only exist at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// The op keeps no descriptor.
    pub const NONE: Slot = Slot(u32::MAX);
}

impl Field<'_> for Slot {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.0.encode(sink);
    }
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.u32().map(Slot)
    }
}

/// A string for the kernel. On the wire it ends in a NUL; in the library it may not have one yet.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    bytes: &'a [u8],
    terminated: bool,
}

impl<'a> Text<'a> {
    /// A text of these bytes; a NUL among them cuts it short when it is encoded, so callers refuse one earlier.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Text { bytes, terminated: false }
    }

    /// The bytes without the NUL.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self.bytes.split_last() {
            Some((_, head)) if self.terminated => head,
            _ => self.bytes,
        }
    }

    /// The text as the kernel wants it; `None` for one that has not been through the wire.
    pub fn as_cstr(&self) -> Option<&'a CStr> {
        CStr::from_bytes_with_nul(self.bytes).ok()
    }

    /// True for a text without bytes.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}
impl Eq for Text<'_> {}

impl<'a> Field<'a> for Text<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        let bytes = self.as_bytes();
        (bytes.len() as u32).encode(sink);
        sink.put(bytes);
        sink.put(&[0]);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let len = reader.u32()? as usize;
        let bytes = reader.bytes(len.checked_add(1)?)?;
        // One NUL, at the end: checked here once, so that init need not look again.
        CStr::from_bytes_with_nul(bytes).ok()?;
        Some(Text { bytes, terminated: true })
    }
}

/// Bytes that may hold anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Bytes<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        (self.0.len() as u32).encode(sink);
        sink.put(self.0);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let len = reader.u32()? as usize;
        reader.bytes(len).map(Bytes)
    }
}

/// A list of texts, kept in its encoded form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TextList<'a> {
    count: u32,
    encoded: &'a [u8],
}

impl<'a> TextList<'a> {
    /// The list of `count` texts that stand one after the other in `encoded`.
    pub const fn new(count: u32, encoded: &'a [u8]) -> Self {
        TextList { count, encoded }
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True for an empty list.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The texts in order.
    pub fn iter(&self) -> TextIter<'a> {
        TextIter { left: self.count, reader: Reader::new(self.encoded) }
    }
}

/// Iterates over a [`TextList`]; ends early where the encoding is broken.
pub struct TextIter<'a> {
    left: u32,
    reader: Reader<'a>,
}

impl<'a> Iterator for TextIter<'a> {
    type Item = Text<'a>;
    fn next(&mut self) -> Option<Text<'a>> {
        self.left = self.left.checked_sub(1)?;
        Text::decode(&mut self.reader)
    }
}

impl<'a> Field<'a> for TextList<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.count.encode(sink);
        Bytes(self.encoded).encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let count = reader.u32()?;
        let encoded = Bytes::decode(reader)?.0;
        // A count that lies would leave holes in argv: hold it against the texts once.
        let mut check = Reader::new(encoded);
        for _ in 0..count {
            Text::decode(&mut check)?;
        }
        check.is_empty().then_some(TextList { count, encoded })
    }
}

/// A list of numbers, kept in its encoded form: group ids, propagation flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// The list whose numbers stand in `encoded`, four little-endian bytes each.
    pub const fn new(encoded: &'a [u8]) -> Self {
        Numbers(encoded)
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.0.len() / 4
    }

    /// True for an empty list.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + 'a {
        self.0.chunks_exact(4).filter_map(|b| Some(u32::from_le_bytes(b.try_into().ok()?)))
    }
}

impl<'a> Field<'a> for Numbers<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        Bytes(self.0).encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let bytes = Bytes::decode(reader)?.0;
        (bytes.len() % 4 == 0).then_some(Numbers(bytes))
    }
}

/// The front of an encoded plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the records that follow the header.
    pub length: u32,
    /// How many ops they hold.
    pub ops: u32,
    /// How many slots the ops use.
    pub slots: u32,
    /// How many of them, from slot 0 on, the parent fills.
    pub inputs: u32,
    /// [`Header::TRACE`].
    pub flags: u32,
}

impl Header {
    /// Encoded size in bytes.
    pub const SIZE: usize = 28;
    /// init stamps every op and sends the stamps before it reports success or failure.
    pub const TRACE: u32 = 1;
    /// "gntr"; a blob of something else is refused.
    const MAGIC: u32 = u32::from_le_bytes(*b"gntr");
    /// Library and init are built together; this catches a mix-up all the same.
    const VERSION: u32 = 1;

    /// Appends the header.
    pub fn encode<S: Sink>(&self, sink: &mut S) {
        for word in [Self::MAGIC, Self::VERSION, self.length, self.ops, self.slots, self.inputs, self.flags] {
            word.encode(sink);
        }
    }

    /// Reads a header; `None` if the magic number or the version is another.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let mut reader = Reader::new(bytes);
        if reader.u32()? != Self::MAGIC || reader.u32()? != Self::VERSION {
            return None;
        }
        Some(Header {
            length: reader.u32()?,
            ops: reader.u32()?,
            slots: reader.u32()?,
            inputs: reader.u32()?,
            flags: reader.u32()?,
        })
    }
}
