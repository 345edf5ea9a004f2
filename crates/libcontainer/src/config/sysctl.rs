//! `linux.sysctl`: only kernel parameters that belong to a namespace of the container's own may be set.
//!
//! Anything else would change the host. The key becomes a path, so it may hold nothing that leads elsewhere
//! (CVE-2022-0811 smuggled a second parameter in).

use super::types::{Config, NamespaceType};
use crate::error::{Error, Result};

/// Parameters of the ipc namespace, ipc_namespaces(7).
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(super) fn validate(config: &Config<'_>) -> Result<()> {
    for (key, value) in &config.linux.sysctl {
        let invalid = |words: String| Error::invalid("linux.sysctl", words).label(key.to_string());
        if value.contains('\0') {
            return Err(invalid("must not contain a NUL character".to_owned()));
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
        if !key.chars().all(plain) || key.split(['.', '/']).any(str::is_empty) {
            return Err(invalid("is not the name of a kernel parameter".to_owned()));
        }
        let Some(kind) = namespace_of(&dotted(key)) else {
            return Err(invalid("is not in a namespace: setting it would change the host".to_owned()));
        };
        if !config.has_namespace(kind) {
            let words = format!("needs a {} namespace in linux.namespaces: it would be the host's", kind.name());
            return Err(invalid(words));
        }
        if dotted(key) == "kernel.domainname" && config.domainname.as_deref().is_some_and(|name| name != &**value) {
            return Err(invalid("contradicts domainname".to_owned()));
        }
    }
    Ok(())
}

/// The namespace whose parameter this is.
fn namespace_of(key: &str) -> Option<NamespaceType> {
    match key {
        _ if IPC.contains(&key) || key.starts_with("fs.mqueue.") => Some(NamespaceType::Ipc),
        _ if key.starts_with("net.") => Some(NamespaceType::Network),
        // The hostname has a field of its own, which every engine uses.
        "kernel.domainname" => Some(NamespaceType::Uts),
        _ => None,
    }
}

/// Where the first separator is a slash, slashes separate and dots belong to names, as with sysctl(8): a VLAN's
/// interface is `net/ipv4/conf/eth0.5/forwarding`, or `net.ipv4.conf.eth0/5.forwarding`.
fn dotted(key: &str) -> String {
    swap_if(key, '/')
}

/// The parameter's path below /proc/sys.
pub fn path(key: &str) -> String {
    swap_if(key, '.')
}

/// Exchanges dots and slashes if the first of them is `separator`.
fn swap_if(key: &str, separator: char) -> String {
    let first = key.chars().find(|letter| matches!(letter, '.' | '/'));
    if first != Some(separator) {
        return key.to_owned();
    }
    key.chars()
        .map(|letter| {
            if letter == '.' {
                '/'
            } else if letter == '/' {
                '.'
            } else {
                letter
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_separate_by_dots_or_by_slashes() {
        for (key, name, file) in [
            ("net.ipv4.ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/5.forwarding", "net.ipv4.conf.eth0/5.forwarding", "net/ipv4/conf/eth0.5/forwarding"),
            ("net/ipv4/conf/eth0.5/forwarding", "net.ipv4.conf.eth0/5.forwarding", "net/ipv4/conf/eth0.5/forwarding"),
        ] {
            assert_eq!((dotted(key).as_str(), path(key).as_str()), (name, file));
        }
    }

    #[test]
    fn only_parameters_of_a_namespace_are_let_through() {
        for (key, namespaces, text) in [
            ("net.ipv4.ip_forward", "network", ""),
            ("kernel.shmmax", "ipc", ""),
            ("fs.mqueue.msg_max", "ipc", ""),
            ("net.ipv4.ip_forward", "ipc", "needs a network namespace in linux.namespaces: it would be the host's"),
            ("kernel.core_pattern", "ipc", "is not in a namespace: setting it would change the host"),
            ("kernel.hostname", "uts", "is not in a namespace: setting it would change the host"),
            ("net.ipv4.ip_forward+kernel.core_pattern", "network", "is not the name of a kernel parameter"),
            ("net.ipv4/../../kernel/core_pattern", "network", "is not the name of a kernel parameter"),
            ("net../x", "network", "is not the name of a kernel parameter"),
            ("kernel.shm_rmid_forced=1 kernel.core_pattern", "ipc", "is not the name of a kernel parameter"),
            ("", "ipc", "is not the name of a kernel parameter"),
        ] {
            let json = format!(
                r#"{{"ociVersion":"1.0.2","process":{{"cwd":"/"}},"root":{{"path":"r"}},
                "linux":{{"namespaces":[{{"type":"{namespaces}"}}],"sysctl":{{"{key}":"1"}}}}}}"#
            );
            let config = crate::config::parse(json.as_bytes()).expect("a config");
            let words = validate(&config).err().map_or_else(String::new, |error| error.operation().to_owned());
            assert_eq!(words, text, "{key}");
        }
    }
}
