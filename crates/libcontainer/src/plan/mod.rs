//! The plan: the whole creation of a container as a list of typed operations, each with the config field it serves.
//!
//! `compile` writes plans, `launch` hands them to init, and init executes them. A plan is pure data: it can be
//! printed ([`crate::compile::explain`]), compared, changed by a test and encoded, without touching the host.
//!
//! [`op`], [`wire`] and [`message`] are compiled into init as well and use `core` alone.

pub mod message;
pub mod op;
pub mod wire;

use std::path::PathBuf;

use op::Op;
use wire::{Field as _, Header, Numbers, Reader, Sink, Slot, Text, TextList};

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The config field that an op comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its JSON path, as in `mounts[3]`.
    pub path: String,
    /// What a reader knows the element by: the mount's destination, the device's path.
    pub label: Option<String>,
}

impl Field {
    /// A field without a label.
    pub fn new(path: impl Into<String>) -> Self {
        Field { path: path.into(), label: None }
    }

    /// A field with a label.
    pub fn labelled(path: impl Into<String>, label: impl Into<String>) -> Self {
        Field { path: path.into(), label: Some(label.into()) }
    }
}

/// A descriptor that the parent opens in the host's view and hands to init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A namespace to join, opened by path before anything is made.
    Namespace {
        /// Its `CLONE_NEW*` kind.
        kind: u64,
        /// Its file.
        path: PathBuf,
    },
    /// The FIFO on which `start` gives the word.
    Go,
    /// The FIFO on which init reports the fate of execve.
    Err,
    /// The state JSON for hooks that run inside.
    HookState,
    /// Takes what hooks that run inside write.
    HookOutput,
}

/// One id range of a user namespace, as in user_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMap {
    /// First id inside.
    pub container: u32,
    /// First id outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// The id maps that the parent writes when init asks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// /proc/PID/uid_map.
    pub uids: Vec<IdMap>,
    /// /proc/PID/gid_map.
    pub gids: Vec<IdMap>,
    /// False writes `deny` to /proc/PID/setgroups first, without which an unprivileged parent may not map a gid.
    pub setgroups: bool,
}

/// The compiled creation of one process. See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    records: Vec<u8>,
    /// Where each op's record begins.
    starts: Vec<u32>,
    fields: Vec<Field>,
    inputs: Vec<Input>,
    slots: u32,
    /// `CLONE_NEW*` flags of the first clone, made by the parent.
    pub clone_flags: u64,
    /// Maps of the user namespace that init makes, if it makes one.
    pub id_maps: Option<IdMaps>,
}

impl Plan {
    /// An empty plan.
    pub fn new() -> Self {
        Plan::default()
    }

    /// Adds an op that serves `field`.
    pub fn push(&mut self, field: &Field, op: Op<'_>) {
        self.starts.push(self.records.len() as u32);
        op.encode(&mut self.records);
        self.fields.push(field.clone());
    }

    /// Reserves the slot of a descriptor that the parent opens. Inputs come before all other slots.
    ///
    /// # Panics
    /// If [`Plan::slot`] was called before: a fault of the compiler, not of its input.
    pub fn input(&mut self, input: Input) -> Slot {
        assert_eq!(self.slots as usize, self.inputs.len(), "inputs are reserved before slots");
        self.inputs.push(input);
        self.slot()
    }

    /// Reserves a slot that an op fills.
    pub fn slot(&mut self) -> Slot {
        let slot = Slot(self.slots);
        self.slots += 1;
        slot
    }

    /// How many slots there are, inputs included.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// What the parent opens, in slot order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The slot of an input.
    pub fn input_slot(&self, wanted: &Input) -> Option<Slot> {
        self.inputs.iter().position(|i| i == wanted).map(|i| Slot(i as u32))
    }

    /// How many ops there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// True for a plan without ops.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The op at `index`.
    pub fn op(&self, index: usize) -> Option<Op<'_>> {
        let start = *self.starts.get(index)? as usize;
        Op::decode(&mut Reader::new(self.records.get(start..)?))
    }

    /// The field that the op at `index` serves.
    pub fn field(&self, index: usize) -> Option<&Field> {
        self.fields.get(index)
    }

    /// The ops in order, each with its field.
    pub fn ops(&self) -> impl Iterator<Item = (Op<'_>, &Field)> {
        (0..self.len()).filter_map(|i| Some((self.op(i)?, self.field(i)?)))
    }

    /// The same plan with `op` in the place of the op at `index`: what fault injection is made of.
    #[must_use]
    pub fn with_op(&self, index: usize, op: Op<'_>) -> Plan {
        let mut plan = Plan { records: Vec::new(), starts: Vec::new(), fields: Vec::new(), ..self.clone() };
        for (i, (old, field)) in self.ops().enumerate() {
            plan.push(field, if i == index { op } else { old });
        }
        plan
    }

    /// The plan as init reads it.
    pub fn encode(&self, flags: u32) -> Vec<u8> {
        let mut blob = Vec::with_capacity(Header::SIZE + self.records.len());
        Header {
            length: self.records.len() as u32,
            ops: self.starts.len() as u32,
            slots: self.slots,
            inputs: self.inputs.len() as u32,
            flags,
        }
        .encode(&mut blob);
        blob.extend_from_slice(&self.records);
        blob
    }
}

/// Builds a [`TextList`].
#[derive(Clone, Debug, Default)]
pub struct TextListBuf {
    count: u32,
    encoded: Vec<u8>,
}

impl TextListBuf {
    /// Adds a text.
    pub fn push(&mut self, text: impl AsRef<[u8]>) {
        Text::new(text.as_ref()).encode(&mut self.encoded);
        self.count += 1;
    }

    /// The list.
    pub fn list(&self) -> TextList<'_> {
        TextList::new(self.count, &self.encoded)
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for TextListBuf {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut list = TextListBuf::default();
        texts.into_iter().for_each(|text| list.push(text));
        list
    }
}

/// Builds a [`Numbers`].
#[derive(Clone, Debug, Default)]
pub struct NumbersBuf(Vec<u8>);

impl NumbersBuf {
    /// The list.
    pub fn list(&self) -> Numbers<'_> {
        Numbers::new(&self.0)
    }
}

impl FromIterator<u32> for NumbersBuf {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        NumbersBuf(numbers.into_iter().flat_map(u32::to_le_bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::op::MountFlags;
    use super::*;

    #[test]
    fn a_plan_reads_back_as_it_was_written() {
        let mut plan = Plan::new();
        let go = plan.input(Input::Go);
        let err = plan.input(Input::Err);
        let options: TextListBuf = ["mode=755", "size=64k"].into_iter().collect();
        let propagation: NumbersBuf = [1 << 18].into_iter().collect();
        let flags = MountFlags { set: 2, propagation: propagation.list(), ..MountFlags::NONE };
        let mount = Op::MountFs {
            dest: Text::new(b"/dev"),
            fstype: Text::new(b"tmpfs"),
            source: Text::new(b""),
            options: options.list(),
            flags,
            keep: Slot::NONE,
            inherit_mode: 0,
        };
        plan.push(&Field::labelled("mounts[1]", "/dev"), mount);
        plan.push(&Field::new("process"), Op::AwaitStart { go, err });
        assert!(plan.op(0) == Some(mount));
        assert!(plan.op(1) == Some(Op::AwaitStart { go, err }));
        let Some(Op::MountFs { options, dest, .. }) = plan.op(0) else { panic!("another op") };
        assert_eq!(dest.as_cstr(), Some(c"/dev"));
        assert_eq!(options.iter().map(|t| t.as_bytes()).collect::<Vec<_>>(), [b"mode=755", b"size=64k"]);
        let blob = plan.encode(Header::TRACE);
        let header = Header::decode(&blob).expect("a header");
        assert_eq!((header.ops, header.inputs, header.flags), (2, 2, Header::TRACE));
        assert_eq!(header.length as usize, blob.len() - Header::SIZE);
    }

    #[test]
    fn a_text_with_a_nul_inside_or_none_at_its_end_is_refused() {
        for blob in [&b"\x02\0\0\0a\0\0"[..], b"\x01\0\0\0ab", b"\xff\xff\xff\xffa\0", b"\x05\0\0\0a\0"] {
            assert!(Text::decode(&mut Reader::new(blob)).is_none(), "{blob:?}");
        }
    }
}
