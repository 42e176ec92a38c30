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
    local name=$1 pid
    shift
    local identity
    identity=$(printf '%s\n' "$@"; command_digest "$@")
    if alive "$name"; then
        [[ $(cat "$OUT/run/$name.command" 2>/dev/null) == "$identity" ]] && return 0
        note "$name changed: restarting it"
        stop_daemon "$name"
    fi
    mkdir -p "$OUT/run" "$OUT/log"
    setsid "$@" >>"$OUT/log/$name.log" 2>&1 </dev/null &
    pid=$!
    printf '%s %s\n' "$pid" "$(process_start "$pid")" >"$OUT/run/$name.pid"
    printf '%s\n' "$identity" >"$OUT/run/$name.command"
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
    alive "$1" || { rm -f "$OUT/run/$1.pid" "$OUT/run/$1.command"; return 0; }
    read -r pid _ <"$OUT/run/$1.pid"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do alive "$1" || break; sleep 0.1; done
    alive "$1" && kill -9 "$pid"
    rm -f "$OUT/run/$1.pid" "$OUT/run/$1.command"
}
