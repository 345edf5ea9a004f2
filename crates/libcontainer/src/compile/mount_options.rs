//! `mounts[].options`: one table for every option of the runtime spec (config.md, "Linux mount options").
//!
//! An option is one of three things: an attribute of the *mount* (mount_setattr(2)), a flag of the *superblock*
//! (fsconfig(2), `FSCONFIG_SET_FLAG`), or, when the table does not have it, an option of the file system's own.
//! Later options override earlier ones, as in mount(8).

use crate::error::{Error, Result};
use crate::plan::op::MountFlags;
use crate::plan::{Field, NumbersBuf};

/// `MOUNT_ATTR_*` of mount_setattr(2).
pub mod attr {
    pub use libc::{
        MOUNT_ATTR__ATIME as ATIME, MOUNT_ATTR_NOATIME as NOATIME, MOUNT_ATTR_NODEV as NODEV,
        MOUNT_ATTR_NODIRATIME as NODIRATIME, MOUNT_ATTR_NOEXEC as NOEXEC, MOUNT_ATTR_NOSUID as NOSUID,
        MOUNT_ATTR_NOSYMFOLLOW as NOSYMFOLLOW, MOUNT_ATTR_RDONLY as RDONLY, MOUNT_ATTR_RELATIME as RELATIME,
        MOUNT_ATTR_STRICTATIME as STRICTATIME,
    };
}

/// What one option of the table asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Nothing that is not so anyway.
    Default,
    /// A bind mount, perhaps of the mounts below the source too.
    Bind { recursive: bool },
    /// Changes the mount that is there instead of making one.
    Remount,
    /// Sets a mount attribute, or clears it.
    Attribute { bit: u64, set: bool, recursive: bool },
    /// Chooses among the exclusive values of the access time field.
    AccessTime { value: u64, recursive: bool },
    /// Changes the propagation type: `MS_*`.
    Propagation(u64),
    /// A flag of the superblock, known to fsconfig(2) by this very name. `set` is false for what is so anyway.
    Superblock { set: bool },
    /// Understood, without effect, and the operator is told why.
    Idle(&'static str),
    /// Not supported.
    Refused(&'static str),
}

const fn set(bit: u64) -> Meaning {
    Meaning::Attribute { bit, set: true, recursive: false }
}
const fn clear(bit: u64) -> Meaning {
    Meaning::Attribute { bit, set: false, recursive: false }
}
const fn rset(bit: u64) -> Meaning {
    Meaning::Attribute { bit, set: true, recursive: true }
}
const fn rclear(bit: u64) -> Meaning {
    Meaning::Attribute { bit, set: false, recursive: true }
}
const fn atime(value: u64) -> Meaning {
    Meaning::AccessTime { value, recursive: false }
}
const fn ratime(value: u64) -> Meaning {
    Meaning::AccessTime { value, recursive: true }
}

const NO_IVERSION: &str = "the change counter is the file system's own business since Linux 6.6";

/// Every option of the spec's table, sorted. relatime is what the kernel does when nothing is asked for, so each
/// negated access time option leads back to it.
const TABLE: &[(&str, Meaning)] = &[
    ("async", Meaning::Superblock { set: false }),
    ("atime", atime(attr::RELATIME)),
    ("bind", Meaning::Bind { recursive: false }),
    ("defaults", Meaning::Default),
    ("dev", clear(attr::NODEV)),
    ("diratime", clear(attr::NODIRATIME)),
    ("dirsync", Meaning::Superblock { set: true }),
    ("exec", clear(attr::NOEXEC)),
    ("idmap", Meaning::Refused("idmapped mounts are not supported yet")),
    ("iversion", Meaning::Idle(NO_IVERSION)),
    ("lazytime", Meaning::Superblock { set: true }),
    // Mounting through fsopen(2) writes nothing to the kernel's log, so there is nothing to silence.
    ("loud", Meaning::Default),
    ("mand", Meaning::Superblock { set: true }),
    ("noatime", atime(attr::NOATIME)),
    ("nodev", set(attr::NODEV)),
    ("nodiratime", set(attr::NODIRATIME)),
    ("noexec", set(attr::NOEXEC)),
    ("noiversion", Meaning::Idle(NO_IVERSION)),
    ("nolazytime", Meaning::Superblock { set: false }),
    ("nomand", Meaning::Superblock { set: false }),
    ("norelatime", atime(attr::RELATIME)),
    ("nostrictatime", atime(attr::RELATIME)),
    ("nosuid", set(attr::NOSUID)),
    ("nosymfollow", set(attr::NOSYMFOLLOW)),
    ("private", Meaning::Propagation(libc::MS_PRIVATE)),
    ("ratime", ratime(attr::RELATIME)),
    ("rbind", Meaning::Bind { recursive: true }),
    ("rdev", rclear(attr::NODEV)),
    ("rdiratime", rclear(attr::NODIRATIME)),
    ("relatime", atime(attr::RELATIME)),
    ("remount", Meaning::Remount),
    ("rexec", rclear(attr::NOEXEC)),
    ("ridmap", Meaning::Refused("idmapped mounts are not supported yet")),
    ("rnoatime", ratime(attr::NOATIME)),
    ("rnodev", rset(attr::NODEV)),
    ("rnodiratime", rset(attr::NODIRATIME)),
    ("rnoexec", rset(attr::NOEXEC)),
    ("rnorelatime", ratime(attr::RELATIME)),
    ("rnostrictatime", ratime(attr::RELATIME)),
    ("rnosuid", rset(attr::NOSUID)),
    ("rnosymfollow", rset(attr::NOSYMFOLLOW)),
    ("ro", set(attr::RDONLY)),
    ("rprivate", Meaning::Propagation(libc::MS_PRIVATE | libc::MS_REC)),
    ("rrelatime", ratime(attr::RELATIME)),
    ("rro", rset(attr::RDONLY)),
    ("rrw", rclear(attr::RDONLY)),
    ("rshared", Meaning::Propagation(libc::MS_SHARED | libc::MS_REC)),
    ("rslave", Meaning::Propagation(libc::MS_SLAVE | libc::MS_REC)),
    ("rstrictatime", ratime(attr::STRICTATIME)),
    ("rsuid", rclear(attr::NOSUID)),
    ("rsymfollow", rclear(attr::NOSYMFOLLOW)),
    ("runbindable", Meaning::Propagation(libc::MS_UNBINDABLE | libc::MS_REC)),
    ("rw", clear(attr::RDONLY)),
    ("shared", Meaning::Propagation(libc::MS_SHARED)),
    ("silent", Meaning::Default),
    ("slave", Meaning::Propagation(libc::MS_SLAVE)),
    ("strictatime", atime(attr::STRICTATIME)),
    ("suid", clear(attr::NOSUID)),
    ("symfollow", clear(attr::NOSYMFOLLOW)),
    ("sync", Meaning::Superblock { set: true }),
    ("tmpcopyup", Meaning::Refused("copying the directory's content into the tmpfs is not supported yet")),
    ("unbindable", Meaning::Propagation(libc::MS_UNBINDABLE)),
];

/// The options that this runtime understands, sorted: `mountOptions` of the features document.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|(_, meaning)| !matches!(meaning, Meaning::Refused(_))).map(|(name, _)| *name)
}

/// The `MS_*` flags of a propagation option or of `linux.rootfsPropagation`; `None` if it is none.
pub fn propagation(name: &str) -> Option<u64> {
    match lookup(name)? {
        Meaning::Propagation(flags) => Some(flags),
        _ => None,
    }
}

fn lookup(name: &str) -> Option<Meaning> {
    TABLE.binary_search_by_key(&name, |(known, _)| known).ok().map(|i| TABLE[i].1)
}

/// The options of one mount, sorted out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions<'a> {
    /// `bind` or `rbind`: true for the mounts below the source too.
    pub bind: Option<bool>,
    /// `remount`.
    pub remount: bool,
    /// Attributes of the mount itself.
    pub set: u64,
    /// Those to take away. Holds all of [`attr::ATIME`] whenever an access time option was given: the kernel demands it.
    pub clear: u64,
    /// Attributes of the mount and of everything below it.
    pub rec_set: u64,
    /// Those to take away, there too.
    pub rec_clear: u64,
    /// Propagation types, in order: `MS_*`.
    pub propagation: Vec<u32>,
    /// Superblock flags and the file system's own options in order, each with its index in the config.
    pub superblock: Vec<(usize, &'a str)>,
    /// Warnings about options without effect.
    pub warnings: Vec<String>,
}

/// Sorts out `options`, which stand at `field` (`mounts[3]`).
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] for an option that the table refuses, with its own path: `mounts[3].options[1]`.
pub fn parse<'a>(field: &Field, options: impl IntoIterator<Item = &'a str>) -> Result<MountOptions<'a>> {
    let mut parsed = MountOptions::default();
    for (index, option) in options.into_iter().enumerate() {
        match lookup(option) {
            Some(meaning) => apply(&mut parsed, field, index, option, meaning)?,
            None => parsed.superblock.extend(split(option).map(|part| (index, part))),
        }
    }
    Ok(parsed)
}

fn apply<'a>(
    parsed: &mut MountOptions<'a>,
    field: &Field,
    index: usize,
    option: &'a str,
    meaning: Meaning,
) -> Result<()> {
    match meaning {
        Meaning::Default => {}
        // Asks for what is so anyway, unless an option before it said otherwise.
        Meaning::Superblock { set: false } if parsed.superblock.is_empty() => {}
        Meaning::Bind { recursive } => parsed.bind = Some(recursive || parsed.bind == Some(true)),
        Meaning::Remount => parsed.remount = true,
        Meaning::Attribute { bit, set, recursive } => parsed.attribute(bit, if set { bit } else { 0 }, recursive),
        Meaning::AccessTime { value, recursive } => parsed.attribute(attr::ATIME, value, recursive),
        Meaning::Propagation(flags) => parsed.propagation.push(flags as u32),
        Meaning::Superblock { .. } => parsed.superblock.push((index, option)),
        Meaning::Idle(why) => parsed.warnings.push(format!("{}: {option:?} has no effect: {why}", path(field, index))),
        Meaning::Refused(why) => return Err(Error::unsupported(path(field, index), format!("{option:?}: {why}"))),
    }
    Ok(())
}

/// The JSON path of an option.
pub fn path(field: &Field, index: usize) -> String {
    format!("{}.options[{index}]", field.path)
}

/// An option may hold several, as mount(2) would split them: at commas, but not at `\,` (overlay) nor inside
/// double quotes (SELinux contexts).
fn split(option: &str) -> impl Iterator<Item = &str> {
    let (mut escaped, mut quoted) = (false, false);
    option
        .split(move |c: char| {
            let cut = c == ',' && !escaped && !quoted;
            escaped = c == '\\' && !escaped;
            quoted ^= c == '"';
            cut
        })
        .filter(|part| !part.is_empty())
}

impl MountOptions<'_> {
    /// Gives the bits of `mask` the value `value`. What is set is also cleared first where the field has several bits.
    fn attribute(&mut self, mask: u64, value: u64, recursive: bool) {
        let (set, clear) = match recursive {
            true => (&mut self.rec_set, &mut self.rec_clear),
            false => (&mut self.set, &mut self.clear),
        };
        *set = (*set & !mask) | value;
        if mask == attr::ATIME || value == 0 {
            *clear |= mask;
        } else {
            *clear &= !mask;
        }
    }

    /// True when the mount itself is to be read-only.
    pub fn read_only(&self) -> bool {
        self.set & attr::RDONLY != 0
    }

    /// True when no attribute and no propagation was asked for.
    pub fn is_plain(&self) -> bool {
        self.set | self.clear | self.rec_set | self.rec_clear == 0 && self.propagation.is_empty()
    }

    /// The attributes of a mount that is made anew. It starts without any and has nothing below it, so there is
    /// nothing to clear and nothing recursive.
    pub fn flags_of_new<'b>(&self, propagation: &'b NumbersBuf) -> MountFlags<'b> {
        let set = (self.set & !self.rec_clear) | self.rec_set;
        MountFlags { set, propagation: propagation.list(), ..MountFlags::NONE }
    }

    /// The attributes as the ops hold them; `propagation` lends its storage.
    pub fn flags<'b>(&self, propagation: &'b NumbersBuf) -> MountFlags<'b> {
        MountFlags {
            set: self.set,
            clear: self.clear,
            rec_set: self.rec_set,
            rec_clear: self.rec_clear,
            propagation: propagation.list(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<'a>(options: &[&'a str]) -> MountOptions<'a> {
        parse(&Field::new("mounts[3]"), options.iter().copied()).expect("options")
    }

    #[test]
    fn the_table_is_sorted_because_it_is_searched_by_halves() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_table_has_every_option_of_the_specification() {
        let spec = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev \
            nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime \
            rbind rdev rdiratime relatime remount rexec rnoatime rnodev rnodiratime rnoexec rnorelatime \
            rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid \
            rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync unbindable";
        assert!(names().eq(spec.split_whitespace()));
    }

    #[test]
    fn later_options_override_earlier_ones() {
        let options = parsed(&["ro", "nosuid", "rw"]);
        assert_eq!((options.set, options.clear), (attr::NOSUID, attr::RDONLY));
        let options = parsed(&["rw", "suid", "ro"]);
        assert_eq!((options.set, options.clear), (attr::RDONLY, attr::NOSUID));
        assert_eq!(parsed(&["rbind", "bind"]).bind, Some(true));
    }

    #[test]
    fn an_access_time_option_clears_the_whole_field_as_the_kernel_demands() {
        for (name, value) in
            [("noatime", attr::NOATIME), ("strictatime", attr::STRICTATIME), ("relatime", 0), ("nostrictatime", 0)]
        {
            let options = parsed(&["strictatime", name]);
            assert_eq!((options.set, options.clear), (value, attr::ATIME), "{name}");
        }
        let options = parsed(&["rnoatime", "rnodiratime"]);
        assert_eq!((options.rec_set, options.rec_clear), (attr::NOATIME | attr::NODIRATIME, attr::ATIME));
        assert_eq!((options.set, options.clear), (0, 0));
    }

    #[test]
    fn what_the_table_lacks_is_the_file_systems_own() {
        let options = parsed(&["mode=755", "nosuid", "size=64k,nr_inodes=9", "sync", "", "defaults", "silent"]);
        assert_eq!(options.superblock, [(0, "mode=755"), (2, "size=64k"), (2, "nr_inodes=9"), (3, "sync")]);
        let options = parsed(&[r"lowerdir=/a\,b:/c,xino=on", r#"context="s0:c1,c2""#]);
        let own: Vec<_> = options.superblock.iter().map(|(_, o)| *o).collect();
        assert_eq!(own, [r"lowerdir=/a\,b:/c", "xino=on", r#"context="s0:c1,c2""#]);
    }

    #[test]
    fn refused_options_are_named_by_their_path() {
        for option in ["idmap", "ridmap", "tmpcopyup"] {
            let error = parse(&Field::labelled("mounts[3]", "/x"), ["ro", option]).expect_err("refused");
            assert!(error.to_string().starts_with(&format!("mounts[3].options[1]: {option:?}: ")), "{error}");
        }
    }

    #[test]
    fn a_new_mount_has_nothing_to_clear() {
        let options = parsed(&["rw", "noatime", "suid", "rnoexec", "rstrictatime", "nodev", "rdev"]);
        let flags = options.flags_of_new(&NumbersBuf::default()).set;
        assert_eq!(flags, attr::NOEXEC | attr::STRICTATIME);
    }

    #[test]
    fn propagation_is_kept_in_order() {
        assert_eq!(
            parsed(&["rslave", "shared"]).propagation,
            [(libc::MS_SLAVE | libc::MS_REC) as u32, libc::MS_SHARED as u32]
        );
        assert_eq!(propagation("rprivate"), Some(libc::MS_PRIVATE | libc::MS_REC));
        assert_eq!(propagation("ro"), None);
    }
}
