//! What `gateway --version` says: the version, and what decides whether a pinned datapath can be adopted.

use gateway_common::abi;

/// In one line, without the program's name; with the commit where the build was told it by `GATEWAY_COMMIT`.
pub(super) fn long() -> String {
    describe(option_env!("GATEWAY_COMMIT"))
}

fn describe(commit: Option<&str>) -> String {
    let commit =
        commit.filter(|commit| !commit.is_empty()).map_or(String::new(), |commit| format!(", commit {commit}"));
    format!("{} (datapath ABI {}{commit})", env!("CARGO_PKG_VERSION"), abi::VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_is_named_where_it_is_known() {
        let version = format!("{} (datapath ABI {}", env!("CARGO_PKG_VERSION"), abi::VERSION);
        assert_eq!(describe(None), format!("{version})"));
        assert_eq!(describe(Some("")), format!("{version})"));
        assert_eq!(describe(Some("0123456789ab")), format!("{version}, commit 0123456789ab)"));
    }
}
