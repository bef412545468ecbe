//! What a limit of time is worth on this machine now.

/// By how much a limit is longer than on a machine that does nothing else: as many programs want to run for each
/// processor, from 1 to 5. What comes in time is not waited for any longer.
pub(crate) fn patience() -> u32 {
    let load = std::fs::read_to_string("/proc/loadavg").expect("Linux says its load");
    let load = load
        .split(' ')
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = load.expect("a number") / f64::from(u32::try_from(processors).expect("few"));
    match wanted {
        w if w >= 5.0 => 5,
        w if w >= 4.0 => 4,
        w if w >= 3.0 => 3,
        w if w >= 1.0 => 2,
        _ => 1,
    }
}
