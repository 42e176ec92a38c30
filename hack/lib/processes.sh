# Daemons in the background: a pid file, a log file and the command line each. Sourced by the scripts in hack/.

# alive NAME: whether the process that start_daemon started is still that process.
alive() {
    local pid started
    [[ -e $OUT/run/$1.pid ]] || return 1
    read -r pid started <"$OUT/run/$1.pid" || return 1
    [[ -n $started && $(process_start "$pid") == "$started" ]]
}

# Start time of a process in clock ticks since boot: with the pid it names one process for good. Nothing for one that
# has ended and was not reaped yet.
process_start() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'; }

# start_daemon NAME COMMAND...: starts it unless it runs with the same command line and binary.
start_daemon() {
    local name=$1 pid command digest
    shift
    command=$(printf '%s\n' "$@")
    digest=$(command_digest "$@")
    if alive "$name"; then
        [[ $(cat "$OUT/run/$name".{command,digest} 2>/dev/null) == "$(printf '%s\n' "$command" "$digest")" ]] && return 0
        note "$name changed: restarting it"
        stop_daemon "$name"
    fi
    mkdir -p "$OUT/run" "$OUT/log"
    setsid "$@" >>"$OUT/log/$name.log" 2>&1 </dev/null &
    pid=$!
    printf '%s %s\n' "$pid" "$(process_start "$pid")" >"$OUT/run/$name.pid"
    printf '%s\n' "$command" >"$OUT/run/$name.command"
    printf '%s\n' "$digest" >"$OUT/run/$name.digest"
}

# restart_daemon NAME: starts it with the command line that it had last.
restart_daemon() {
    local words
    [[ -s $OUT/run/$1.command ]] || die "$1 was never started: one of $(daemon_names)"
    mapfile -t words <"$OUT/run/$1.command"
    if alive "$1"; then stop_daemon "$1"; fi
    start_daemon "$1" "${words[@]}"
}

daemon_names() { (cd "$OUT/run" && printf '%s\n' *.command | sed 's/\.command$//' | paste -sd' '); }

# wait_for_daemon NAME SECONDS COMMAND...: until the command succeeds; fails at once when the daemon ends.
wait_for_daemon() {
    local name=$1 deadline=$((SECONDS + $2)) out
    shift 2
    until out=$("$@" 2>&1); do
        if ! alive "$name"; then
            tail -n 20 "$OUT/log/$name.log" >&2
            die "$name ended; its log is $OUT/log/$name.log"
        fi
        ((SECONDS < deadline)) || { printf '%s\n' "$out" >&2; die "$name isn't ready; its log is $OUT/log/$name.log"; }
        sleep 0.2
    done
}

# Digest of the first argument that is a file of the daemon's own (nsenter and env come before it).
command_digest() {
    local word
    for word in "$@"; do
        [[ $word == /* && -x $word && -f $word && $word != */nsenter ]] && { sha256sum "$word"; return; }
    done
    return 0
}

# stop_daemon NAME: SIGTERM, ten seconds, SIGKILL.
stop_daemon() {
    local pid _
    alive "$1" || { rm -f "$OUT/run/$1.pid"; return 0; }
    read -r pid _ <"$OUT/run/$1.pid"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do alive "$1" || break; sleep 0.1; done
    alive "$1" && kill -9 "$pid"
    rm -f "$OUT/run/$1.pid"
}
