//! Work that must not die with a lost connection: a transient systemd unit on the node, whose
//! output is watched from here and found again by the unit's name.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Command, Host, HostError, Stream};

/// Starts the unit, or finds it running, and prints what it prints until it has ended; ends with
/// its exit code. The unit's script comes on standard input, its arguments after the unit's name.
const WATCH: &str = r#"u=$1; shift; d=/run/matou
mkdir -p -m 700 "$d" || exit 1
if systemctl is-active --quiet "$u.service"; then
    cat >/dev/null
    echo "it runs already, from before: watching it"
else
    cat >"$d/$u.sh" || exit 1
    rm -f "$d/$u.rc"; : >"$d/$u.log"
    systemd-run --quiet --collect --unit="$u" --setenv=LC_ALL=C --setenv=HOME=/root \
        --property=StandardOutput="append:$d/$u.log" --property=StandardError="append:$d/$u.log" \
        sh -c 's=$1; shift; sh "$s.sh" "$@"; echo $? >"$s.tmp"; mv "$s.tmp" "$s.rc"' sh "$d/$u" "$@" || exit 1
fi
at=0; n=0
show() {
    size=$(stat -c %s "$d/$u.log" 2>/dev/null || echo 0)
    [ "$size" -gt "$at" ] || return 0
    tail -c "+$((at + 1))" "$d/$u.log" | head -c "$((size - at))"
    at=$size
}
while [ ! -e "$d/$u.rc" ]; do
    show; sleep 0.3; n=$((n + 1))
    # Killed, or the machine's power was cut: nothing will ever be written.
    if [ $((n % 10)) = 0 ] && [ ! -e "$d/$u.rc" ] && ! systemctl is-active --quiet "$u.service"; then
        sleep 0.5; [ -e "$d/$u.rc" ] && break
        show; echo "$u ended without a result" >&2; exit 1
    fi
done
show
exit "$(cat "$d/$u.rc")"
"#;

impl Host {
    /// Runs a shell script as the unit `unit` of the node, as root: it goes on when the connection
    /// or this program ends, and calling this again with the same name watches it further. Lines
    /// come as with [`Host::stream`]; cancelling stops the unit.
    ///
    /// # Errors
    /// As [`Host::stream`].
    pub async fn last(
        &self,
        unit: &str,
        script: &str,
        args: &[String],
        lines: mpsc::Sender<(Stream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        let command = Command::sh(WATCH)
            .arg(unit)
            .args(args.iter().cloned())
            .stdin(script.as_bytes().to_vec())
            .sudo()
            .label(unit);
        let ended = self.stream(&command, lines, cancel).await;
        if cancel.is_cancelled() {
            let stop = Command::new("systemctl")
                .args(["stop", "--", &format!("{unit}.service")])
                .sudo()
                .timeout(Duration::from_secs(5));
            // It was cancelled: whether it can still be told is of no matter to the caller.
            let _ = self.run(&stop).await;
        }
        ended
    }
}
