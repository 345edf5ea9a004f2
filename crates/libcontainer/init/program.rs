//! Ops about programs: the container's own, and hooks.

use core::ffi::CStr;
use core::mem::size_of;

use crate::message::{Kind, Message, Step};
use crate::paths::{self, Buffer};
use crate::report::{self, At, Done, Fail};
use crate::run::{Init, Never};
use crate::sys::consts::*;
use crate::sys::{self, Errno, Fd, Sys, process};
use crate::wire::{Slot, Text, TextList};

/// What is found out on the way to execve.
pub struct Found {
    /// The program's path.
    program: Buffer,
    /// `HOME=…`; empty if the config has its own.
    home: Buffer,
}

impl Found {
    /// Nothing yet.
    pub fn new() -> Found {
        Found { program: Buffer::new(), home: Buffer::new() }
    }
}

/// Finds the program as execvp(3) does: a name with a slash is a path, another is looked for along `search`.
pub fn find(init: &mut Init, name: Text<'_>, search: Text<'_>) -> Done {
    let name = name.as_bytes();
    let found = &mut init.program.program;
    if name.contains(&b'/') {
        found.set(name).at(Step::NotExecutable)?;
        return check(found.as_cstr()).at(Step::NotExecutable);
    }
    let mut denied = None;
    for dir in search.as_bytes().split(|b| *b == b':') {
        // An empty entry is the working directory.
        found.set(if dir.is_empty() { b"." } else { dir }).at(Step::NotFound)?;
        found.push(name).at(Step::NotFound)?;
        match check(found.as_cstr()) {
            Ok(()) => return Ok(()),
            Err(errno @ (EACCES | EISDIR)) => denied = denied.or(Some(errno)),
            Err(_) => {}
        }
    }
    match denied {
        Some(errno) => Err(errno).at(Step::NotExecutable),
        None => Err(ENOENT).at(Step::NotFound),
    }
}

/// Could execve(2) take it? The root is the container's by now, so an absolute path is one of the container.
fn check(path: &CStr) -> Sys<()> {
    let file = sys::openat2(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS)?;
    if sys::stat_fd(file.raw())?.kind() == S_IFDIR {
        return Err(EISDIR);
    }
    sys::may_execute(file.raw())
}

/// HOME for a user id, from the container's /etc/passwd; `/` if there is no such file or user.
pub fn find_home(init: &mut Init, uid: u32) -> Done {
    let home = &mut init.program.home;
    home.set(b"HOME=").at(Step::Whole)?;
    // O_NONBLOCK: the image may have put a FIFO there.
    let passwd = paths::open(init.root, c"etc/passwd", O_RDONLY | O_NONBLOCK);
    let regular = |file: &Fd| sys::stat_fd(file.raw()).is_ok_and(|stat| stat.kind() == S_IFREG);
    if let Some(file) = passwd.ok().filter(regular) {
        read_home(&file, uid, home).at(Step::Open)?;
    }
    if home.as_bytes() == b"HOME=" {
        home.append(b"/").at(Step::Whole)?;
    }
    Ok(())
}

/// How much of a passwd file is read; a hole of a terabyte costs an image nothing.
const PASSWD_MAX: usize = 16 << 20;

/// Streams `name:password:uid:gid:gecos:home:shell` lines; the first with the uid wins. Nothing but digits is a uid.
fn read_home(file: &Fd, uid: u32, home: &mut Buffer) -> Sys<()> {
    let prefix = home.as_bytes().len();
    let mut chunk = [0u8; 4096];
    let (mut field, mut id) = (0, Some(None));
    let mut left = PASSWD_MAX;
    loop {
        let count = sys::read(file.raw(), &mut chunk)?;
        left = left.checked_sub(count).ok_or(EFBIG)?;
        let end_of_file = count == 0;
        for byte in chunk.get(..count).unwrap_or_default().iter().chain(end_of_file.then_some(&b'\n')) {
            match (*byte, field) {
                (b'\n', _) => {
                    if field >= 5 && id == Some(Some(uid)) && home.as_bytes().len() > prefix {
                        return Ok(());
                    }
                    home.truncate(prefix);
                    (field, id) = (0, Some(None));
                }
                (b':', _) => field += 1,
                (digit @ b'0'..=b'9', 2) => {
                    id = id
                        .and_then(|id| id.unwrap_or(0).checked_mul(10)?.checked_add(u32::from(digit - b'0')))
                        .map(Some);
                }
                (_, 2) => id = None,
                (byte, 5) if id == Some(Some(uid)) => home.append(&[byte])?,
                _ => {}
            }
        }
        if end_of_file {
            return Ok(());
        }
    }
}

/// Pointers to texts, ended by a null pointer; `extra` comes last.
fn pointers(list: TextList<'_>, extra: Option<&CStr>) -> Sys<*const usize> {
    let memory = sys::map((list.len() + 2) * size_of::<usize>())?;
    // SAFETY: any zeroed bytes are valid numbers, and a mapping is aligned.
    let (_, table, _) = unsafe { memory.align_to_mut::<usize>() };
    let texts = list.iter().filter_map(|text| text.as_cstr()).chain(extra);
    for (place, text) in table.iter_mut().zip(texts) {
        *place = text.as_ptr() as usize;
    }
    Ok(table.as_ptr())
}

/// Becomes the program.
pub fn execute(init: &mut Init, args: TextList<'_>, env: TextList<'_>) -> Done<Never> {
    let home = init.program.home.as_cstr();
    let env = pointers(env, (!home.is_empty()).then_some(home)).at(Step::Whole)?;
    let args = pointers(args, None).at(Step::Whole)?;
    // Whoever waits on the FIFO learns that only execve is left; if nobody waits, that is fine too.
    let _ = init.channel.send(Kind::Exec, init.index, None, 0, &[]);
    process::set_broken_pipes(false);
    let program = init.program.program.as_cstr();
    let errno = process::execve(program, args, env);
    process::set_broken_pipes(true);
    let mut fail = Fail::new(Step::Whole, errno);
    if let Some(interpreter) = missing_interpreter(program, errno) {
        fail.step = Step::Interpreter;
        fail.detail = interpreter;
    }
    Err(fail)
}

/// ENOENT for a program that is there means its interpreter: the one of the `#!` line or the ELF loader.
fn missing_interpreter(program: &CStr, errno: Errno) -> Option<&'static [u8]> {
    if errno != ENOENT {
        return None;
    }
    let file = sys::openat2(AT_FDCWD, program, O_RDONLY | O_NONBLOCK, RESOLVE_NO_MAGICLINKS).ok()?;
    let mut head = [0u8; 4096];
    let count = sys::read(file.raw(), &mut head).ok()?;
    let head = head.get(..count)?;
    let name = match head.strip_prefix(b"#!") {
        Some(line) => line.split(|b| *b == b'\n').next()?.trim_ascii().split(|b| *b == b' ' || *b == b'\t').next()?,
        None => elf_interpreter(head)?,
    };
    Some(report::keep(name))
}

/// The PT_INTERP of a 64-bit ELF file of this machine's byte order, if it lies in the first page, as it does.
fn elf_interpreter(file: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u32 = 3;
    if file.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let half = |at: usize| Some(u16::from_ne_bytes(file.get(at..at.checked_add(2)?)?.try_into().ok()?) as usize);
    let word = |at: usize| Some(u32::from_ne_bytes(file.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let long = |at: usize| usize::try_from(u64::from_ne_bytes(file.get(at..at.checked_add(8)?)?.try_into().ok()?)).ok();
    // e_phoff, e_phentsize, e_phnum; then p_type, p_offset, p_filesz of each.
    let (table, size, count) = (long(32)?, half(54)?, half(56)?);
    for index in 0..count {
        let header = table.checked_add(index.checked_mul(size)?)?;
        if word(header)? == PT_INTERP {
            let begin = long(header.checked_add(8)?)?;
            let end = begin.checked_add(long(header.checked_add(32)?)?)?;
            return file.get(begin..end)?.strip_suffix(b"\0");
        }
    }
    None
}

/// Runs a hook in a child of init's, with the state on its stdin, and waits for it.
pub fn run_hook(
    init: &mut Init,
    path: Text<'_>,
    args: TextList<'_>,
    env: TextList<'_>,
    timeout: u32,
    state: Slot,
    output: Slot,
) -> Done {
    let path = path.as_cstr().ok_or(EINVAL).at(Step::Plan)?;
    let args = pointers(args, None).at(Step::HookExec)?;
    let env = pointers(env, None).at(Step::HookExec)?;
    let (state, output) = (init.slot(state)?, init.slot(output)?);
    let Some((pid, pidfd)) = process::fork(0, SIGCHLD).at(Step::HookExec)? else {
        // Each hook reads the state from its beginning. All else init has open is close-on-exec (R10).
        sys::rewind(state);
        let errno = [(state, 0), (output, 1), (output, 2)]
            .iter()
            .find_map(|(fd, onto)| sys::dup_onto(*fd, *onto).err())
            .unwrap_or_else(|| {
                process::set_broken_pipes(false);
                process::execve(path, args, env)
            });
        // As a shell says it: not found, or found and not executable.
        sys::exit(if errno == ENOENT { 127 } else { 126 })
    };
    let limit = if timeout == 0 { -1 } else { i32::try_from(u64::from(timeout) * 1000).unwrap_or(i32::MAX) };
    if !process::wait_ended(pidfd.raw(), limit).at(Step::HookExec)? {
        process::kill(pid);
        process::wait(pid).at(Step::HookTimeout)?;
        return Err(Fail::new(Step::HookTimeout, Errno(0)));
    }
    match process::wait(pid).at(Step::HookExec)? {
        0 => Ok(()),
        status => {
            let mut fail = Fail::new(Step::HookStatus, Errno(0));
            fail.value = status;
            // What it said last says most about why.
            let mut words = [0u8; Message::DETAIL_MAX];
            let count = sys::read_tail(output, &mut words).unwrap_or(0);
            fail.detail = report::keep(words.get(..count).unwrap_or_default());
            Err(fail)
        }
    }
}
