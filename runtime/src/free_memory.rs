//! How much memory a process may still take.

use std::fs;
use std::path::Path;

/// Bytes that can be taken before the system, or the control group of the process, has no more; `None` where the system does not
/// tell (Linux does).
pub fn free_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|info| of_meminfo(&info));
    machine.into_iter().chain(of_group(Path::new("/sys/fs/cgroup"))).min()
}

fn of_meminfo(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Of a control group (version 2): its limit less what it holds beside pages of files, which the system takes back.
fn of_group(folder: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max")?;
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let files = statistics.lines().find_map(|line| line.strip_prefix("file ")?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(number("memory.current")?.saturating_sub(files.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_what_the_system_says() {
        let info = "MemTotal:       24631000 kB\nMemFree:   1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(of_meminfo(info), Some(2 << 20));
        for broken in [
            "",
            "MemAvailable: kB",
            "MemAvailable: -1 kB",
            "MemAvailable: 5",
            "MemAvailable: 18446744073709551615 kB",
        ] {
            assert_eq!(of_meminfo(broken), None, "{broken}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        assert_eq!(of_group(folder.path()), None);
        write("memory.current", "700\n");
        write("memory.max", "max\n");
        assert_eq!(of_group(folder.path()), None, "no limit");
        write("memory.max", "1000\n");
        assert_eq!(of_group(folder.path()), Some(300));
        write("memory.stat", "anon 500\nfile 200\nfile_mapped 9\n");
        assert_eq!(of_group(folder.path()), Some(500));
        write("memory.current", "2000\n");
        assert_eq!(of_group(folder.path()), Some(0));
    }
}
