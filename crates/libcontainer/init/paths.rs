//! Paths of the container. The one place where they are resolved.
//!
//! Every look-up is an openat2 in the root: a link, absolute or not, ends inside it, and magic links of /proc are
//! refused (R1). What is made is made by name in a directory that is already open, so a swapped parent changes
//! nothing. A path that somebody else changes under our hands ends in an error, never outside.

use core::ffi::CStr;

use crate::message::Step;
use crate::report::{At, Done};
use crate::sys::consts::*;
use crate::sys::{self, Errno, Fd, Sys};
use crate::wire::Text;

/// The longest path, in bytes with its NUL, as for the kernel.
pub const PATH_MAX: usize = 4096;
/// Links followed while creating, as many as the kernel follows while looking up.
const LINKS_MAX: u32 = 40;

/// Opens a path of the container.
pub fn open(root: i32, path: &CStr, flags: u32) -> Sys<Fd> {
    // The root itself, which has no name in it.
    let path = if path.is_empty() { c"." } else { path };
    sys::openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
}

/// As [`open`], but no link at all may stand on the way: for /proc, /sys and /dev (CVE-2019-19921, CVE-2025-54867).
pub fn open_without_links(root: i32, path: &CStr, flags: u32) -> Sys<Fd> {
    sys::openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)
}

/// What a missing path is to become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// Opens `path` with `O_PATH`, and creates it first if it is missing.
pub fn open_or_create(root: i32, path: Text<'_>, make: Make) -> Done<Fd> {
    open_or_make(root, path, make).map(|(fd, _)| fd)
}

/// As [`open_or_create`], and says whether it was there before.
pub fn open_or_make(root: i32, path: Text<'_>, make: Make) -> Done<(Fd, bool)> {
    let text = path.as_cstr().ok_or(EINVAL).at(Step::Plan)?;
    match open(root, text, O_PATH) {
        Err(ENOENT) => create(root, path.as_bytes(), make).map(|fd| (fd, false)),
        result => result.at(Step::Target).map(|fd| (fd, true)),
    }
}

/// Opens the directory in which `path` stands, creating what is missing, and gives its last name.
///
/// In /dev no link may stand on the way: the image could have what the runtime makes there land in a volume.
pub fn open_parent<'b>(root: i32, path: Text<'_>, name: &'b mut Buffer) -> Done<(Fd, &'b CStr)> {
    let mut parent = Buffer::new();
    let (head, last) = split_last(path.as_bytes());
    if last.is_empty() || last == b"." || last == b".." {
        return Err(EINVAL).at(Step::Target);
    }
    parent.set(head).at(Step::Target)?;
    name.set(last).at(Step::Target)?;
    let in_dev = head.strip_prefix(b"/dev").is_some_and(|rest| rest.starts_with(b"/"));
    let open = if in_dev { open_without_links } else { open };
    let dir = match open(root, parent.as_cstr(), O_PATH | O_DIRECTORY) {
        Err(ENOENT) => {
            create(root, head, Make::Directory)?;
            open(root, parent.as_cstr(), O_PATH | O_DIRECTORY)
        }
        result => result,
    };
    Ok((dir.at(Step::Target)?, name.as_cstr()))
}

/// Creates `path` component by component. A dangling link on the way is followed by its text, inside the root.
fn create(root: i32, path: &[u8], make: Make) -> Done<Fd> {
    let mut whole = Buffer::new();
    whole.set(path).at(Step::MakeTarget)?;
    for _ in 0..LINKS_MAX {
        if let Some(fd) = create_once(root, &mut whole, make)? {
            return Ok(fd);
        }
    }
    Err(ELOOP).at(Step::MakeTarget)
}

/// `None` when a dangling link was met: `whole` then has the link's text in its place.
fn create_once(root: i32, whole: &mut Buffer, make: Make) -> Done<Option<Fd>> {
    let mut prefix = Buffer::new();
    let mut dir = open(root, c".", O_PATH | O_DIRECTORY).at(Step::Target)?;
    let mut rest = whole.as_bytes();
    loop {
        let (component, tail) = split_first(rest);
        rest = tail;
        if component.is_empty() {
            return Ok(Some(dir));
        }
        let file = make == Make::File && split_first(rest).0.is_empty();
        let base = prefix.len;
        prefix.push(component).at(Step::MakeTarget)?;
        let want = if file { O_PATH } else { O_PATH | O_DIRECTORY };
        let found = match open(root, prefix.as_cstr(), want) {
            Err(ENOENT) => {
                let mut name = Buffer::new();
                name.set(component).at(Step::MakeTarget)?;
                match make_entry(dir.raw(), name.as_cstr(), file) {
                    // Ours, or somebody else's who was quicker; or a link to nothing.
                    Ok(()) | Err(EEXIST) => {}
                    Err(errno) => return Err(errno).at(Step::MakeTarget),
                }
                let again = open(root, prefix.as_cstr(), want);
                if matches!(again, Err(ENOENT)) {
                    let next = follow(dir.raw(), name.as_cstr(), &prefix, base, rest)?;
                    *whole = next;
                    return Ok(None);
                }
                again
            }
            result => result,
        };
        dir = found.at(Step::Target)?;
    }
}

fn make_entry(dir: i32, name: &CStr, file: bool) -> Sys<()> {
    if file {
        sys::openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644).map(|_| ())
    } else {
        sys::mkdirat(dir, name, 0o755)
    }
}

/// `base`'s directory, then what the link says, then the rest; an absolute text starts at the root again.
fn follow(dir: i32, name: &CStr, prefix: &Buffer, base: usize, rest: &[u8]) -> Done<Buffer> {
    let mut text = [0u8; PATH_MAX];
    let text = sys::readlinkat(dir, name, &mut text).at(Step::MakeTarget)?;
    let mut next = Buffer::new();
    if text.first() != Some(&b'/') {
        next.set(prefix.as_bytes().get(..base).unwrap_or_default()).at(Step::MakeTarget)?;
    }
    next.push(text).at(Step::MakeTarget)?;
    next.push(rest).at(Step::MakeTarget)?;
    Ok(next)
}

/// The first component of a path and what follows it; slashes around it are dropped.
fn split_first(path: &[u8]) -> (&[u8], &[u8]) {
    let begin = path.iter().position(|b| *b != b'/').unwrap_or(path.len());
    let path = path.get(begin..).unwrap_or_default();
    let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
    path.split_at_checked(end).unwrap_or_default()
}

/// What stands before the last component, and the last component.
fn split_last(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |i| i + 1);
    let path = path.get(..end).unwrap_or_default();
    let begin = path.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
    path.split_at_checked(begin).unwrap_or_default()
}

/// A path in a fixed buffer, always ending in a NUL.
pub struct Buffer {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Buffer {
    /// An empty path.
    pub fn new() -> Buffer {
        Buffer { bytes: [0; PATH_MAX], len: 0 }
    }

    /// Holds exactly these bytes.
    pub fn set(&mut self, bytes: &[u8]) -> Sys<()> {
        self.len = 0;
        self.append(bytes)
    }

    /// Adds a component, with a slash before it.
    pub fn push(&mut self, component: &[u8]) -> Sys<()> {
        if self.len > 0 {
            self.append(b"/")?;
        }
        self.append(component)
    }

    /// Adds bytes as they are.
    pub fn append(&mut self, bytes: &[u8]) -> Sys<()> {
        let end = self.len.checked_add(bytes.len()).filter(|e| *e < PATH_MAX).ok_or(ENAMETOOLONG)?;
        let (to, nul) =
            self.bytes.get_mut(self.len..=end).and_then(|b| b.split_at_mut_checked(bytes.len())).ok_or(ENAMETOOLONG)?;
        for (to, from) in to.iter_mut().zip(bytes) {
            *to = *from;
        }
        nul.fill(0);
        self.len = end;
        Ok(())
    }

    /// Forgets everything behind the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        if let Some(end) = self.bytes.get_mut(self.len) {
            *end = 0;
        }
    }

    /// The bytes without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The path for the kernel; empty if a NUL stands inside, which no text from a plan has.
    pub fn as_cstr(&self) -> &CStr {
        self.bytes.get(..=self.len).and_then(|b| CStr::from_bytes_with_nul(b).ok()).unwrap_or(c"")
    }
}

/// True for errnos that say "there is no such path".
pub fn is_missing(errno: Errno) -> bool {
    errno == ENOENT || errno == ENOTDIR
}
