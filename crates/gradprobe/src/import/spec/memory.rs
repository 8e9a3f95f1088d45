//! Bytes: how many there are, and how they are written.

use super::reader::{Field, Result};
use std::fs;
use toml::de::DeValue;

const UNITS: &[(&str, u64)] = &[
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
];

/// What a network may take where nothing is said and the machine does not say what it has.
const FALLBACK: u64 = 8 << 30;

/// Half of the memory that this process may have: the machine's, or its control group's if that
/// is less. 8 GiB where neither is known.
pub(in crate::import) fn default_limit() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    });
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let least = machine.into_iter().chain(group).min();
    least.map_or(FALLBACK, |bytes: u64| bytes / 2)
}

/// A number of bytes, or a string such as `"8 GiB"`.
pub(super) fn parse_bytes(field: Field<'_, '_>) -> Result<u64> {
    const EXPECTED: &str = "a number of bytes, or a string such as \"8 GiB\"";
    let DeValue::String(text) = field.value.get_ref() else {
        return match field.value.get_ref() {
            DeValue::Integer(_) => field.whole(1, i64::MAX as u64),
            _ => Err(field.wrong_type(EXPECTED)),
        };
    };
    let lower = text.trim().to_lowercase();
    let parsed = UNITS.iter().find_map(|(unit, size)| {
        let number: f64 = lower.strip_suffix(unit)?.trim().parse().ok()?;
        let bytes = number * *size as f64;
        (bytes >= 1.0 && bytes < i64::MAX as f64).then_some(bytes as u64)
    });
    parsed.ok_or_else(|| field.wrong_value(EXPECTED))
}

/// A number of bytes for people: `512 bytes`, `1.5 GiB`, `3.6e+12 TiB`.
pub(in crate::import) fn shown(bytes: u128) -> String {
    let scaled = |shift: u32| bytes as f64 / 2f64.powi(shift as i32);
    match bytes {
        0..0x400 => format!("{bytes} bytes"),
        0x400..0x10_0000 => format!("{:.1} KiB", scaled(10)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", scaled(20)),
        0x4000_0000..0x100_0000_0000 => format!("{:.1} GiB", scaled(30)),
        _ if scaled(40) < 1e6 => format!("{:.1} TiB", scaled(40)),
        _ => format!("{:.1e} TiB", scaled(40)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!(shown(1023), "1023 bytes");
        assert_eq!(shown(3 << 29), "1.5 GiB");
        assert_eq!(shown(1 << 40), "1.0 TiB");
        assert_eq!(shown(u128::MAX), "3.1e26 TiB");
    }
}
