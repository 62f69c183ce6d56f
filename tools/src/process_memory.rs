//! What this process holds in memory, as Linux counts it.

/// The most bytes of memory this process has held so far; `None` where the system does not say.
pub fn peak_memory_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// The bytes of memory this process holds; `None` where the system does not say.
pub fn memory_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

fn status_bytes(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_touched_is_counted() {
        let before = memory_bytes().unwrap();
        let held = vec![1_u8; 64 << 20];
        let after = memory_bytes().unwrap();
        assert!(after >= before + (48 << 20), "{before} {after} {}", held[7]);
        assert!(peak_memory_bytes().unwrap() >= after);
    }
}
