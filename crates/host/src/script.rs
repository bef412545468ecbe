//! The shell scripts of the program, which are files: `crates/LAYER/scripts/NAME.sh`.

/// Returns a script without the comments that it begins with: what it does and what its arguments
/// are is for those who read the file, not for every connection that it goes over. A script is what
/// `include_str!` includes; several that belong together are put one after the other.
pub const fn shell_script(file: &'static str) -> &'static str {
    let bytes = file.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] == b'#' {
        while at < bytes.len() && bytes[at] != b'\n' {
            at += 1;
        }
        if at < bytes.len() {
            at += 1;
        }
    }
    file.split_at(at).1
}

#[cfg(test)]
mod tests {
    use super::shell_script;

    #[test]
    fn only_the_comments_at_the_beginning_are_left_out() {
        for (file, script) in [
            (
                "# shellcheck shell=sh\n# What.\nset -e\n# Why.\n",
                "set -e\n# Why.\n",
            ),
            ("set -e\n", "set -e\n"),
            ("# é\n\n# kept\n", "\n# kept\n"),
            ("# all of it", ""),
            ("", ""),
        ] {
            assert_eq!(shell_script(file), script);
        }
    }
}
