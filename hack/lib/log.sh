# Progress and failure, said once each. Sourced by the scripts in hack/.

step() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# wait_for SECONDS WHAT COMMAND...: polls until the command succeeds; fails with the last output.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2 out
    shift 2
    until out=$("$@" 2>&1); do
        ((SECONDS < deadline)) || { printf '%s\n' "$out" >&2; die "timed out waiting for $what"; }
        sleep 0.2
    done
}
