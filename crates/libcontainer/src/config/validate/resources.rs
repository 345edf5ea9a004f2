//! `linux.resources`: what config-linux.md says MUST of limits, whatever the cgroup version.

use super::super::types::{Cpu, DeviceRule, Resources};
use super::{key, text};
use crate::error::{Error, Result};

const FIELD: &str = "linux.resources";

pub(super) fn check(resources: &Resources<'_>) -> Result<()> {
    resources.devices.iter().enumerate().try_for_each(|(index, rule)| device_rule(index, rule))?;
    resources.cpu.as_ref().map_or(Ok(()), cpu)?;
    for (index, device) in resources.block_io.iter().flat_map(|io| &io.weight_device).enumerate() {
        if device.weight.is_none() && device.leaf_weight.is_none() {
            let field = format!("{FIELD}.blockIO.weightDevice[{index}]");
            return Err(Error::invalid(field, "needs weight or leafWeight"));
        }
    }
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        if !is_page_size(&limit.page_size) {
            let words = format!("{:?} is not a page size such as 2MB", &*limit.page_size);
            return Err(Error::invalid(format!("{FIELD}.hugepageLimits[{index}].pageSize"), words));
        }
    }
    for (device, limits) in &resources.rdma {
        if limits.hca_handles.is_none() && limits.hca_objects.is_none() {
            return Err(Error::invalid(key("linux.resources.rdma", device), "needs hcaHandles or hcaObjects"));
        }
    }
    for (file, value) in &resources.unified {
        let field = || key("linux.resources.unified", file);
        // A file of the container's own cgroup, not of another one.
        if file.is_empty() || file.contains(['/', '\0']) || matches!(&**file, "." | "..") {
            return Err(Error::invalid(field(), "is not the name of a cgroup file"));
        }
        text(field, value)?;
    }
    Ok(())
}

fn device_rule(index: usize, rule: &DeviceRule<'_>) -> Result<()> {
    let field = |name: &str| format!("{FIELD}.devices[{index}].{name}");
    if let Some(kind) = rule.kind.as_deref().filter(|kind| !matches!(*kind, "a" | "b" | "c")) {
        return Err(Error::invalid(field("type"), format!("unknown device type {kind:?}")));
    }
    let access = rule.access.as_deref().unwrap_or_default();
    if access.bytes().any(|letter| !b"rwm".contains(&letter)) {
        return Err(Error::invalid(field("access"), format!("{access:?} is not made of r, w and m")));
    }
    for (name, number) in [("major", rule.major), ("minor", rule.minor)] {
        // -1 is how engines write "all".
        if let Some(number) = number.filter(|number| !(-1..=i64::from(u32::MAX)).contains(number)) {
            return Err(Error::invalid(field(name), format!("{number} is no device number")));
        }
    }
    Ok(())
}

fn cpu(cpu: &Cpu<'_>) -> Result<()> {
    text(|| format!("{FIELD}.cpu.cpus"), cpu.cpus.as_deref().unwrap_or_default())?;
    text(|| format!("{FIELD}.cpu.mems"), cpu.mems.as_deref().unwrap_or_default())?;
    match (cpu.burst, cpu.quota.and_then(|quota| u64::try_from(quota).ok())) {
        (Some(burst), Some(quota)) if quota > 0 && burst > quota => {
            Err(Error::invalid(format!("{FIELD}.cpu.burst"), format!("{burst} is above the quota of {quota}")))
        }
        _ => Ok(()),
    }
}

/// `64KB`, `2MB`, `1GB`: as in the names of hugetlb's files.
fn is_page_size(text: &str) -> bool {
    let digits = text.strip_suffix('B').and_then(|text| text.strip_suffix(['K', 'M', 'G'])).unwrap_or_default();
    !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}
