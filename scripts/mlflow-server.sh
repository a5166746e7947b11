#!/usr/bin/env bash
# Starts MLflow's own server on this machine for tests, and stops it. Installs it once from PyPI, with SQLite behind it.
#
#   scripts/mlflow-server.sh start   prints its URL
#   scripts/mlflow-server.sh stop
#
# DFWFD_MLFLOW_VERSION is the version, DFWFD_MLFLOW_RUNNING the folder of what runs.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${DFWFD_MLFLOW_VERSION:-3.17.2}
running=${DFWFD_MLFLOW_RUNNING:-${TMPDIR:-/tmp}/dfwfd-mlflow}
installed=target/foreign/mlflow-$version

stop() {
    if [ -f "$running/pid" ]; then
        # The server is the leader of its group, which has its workers too.
        kill -- "-$(cat "$running/pid")" 2>/dev/null || true
        rm -rf "$running"
    fi
}

start() {
    stop
    mkdir -p "$running"
    python3 tests/foreign/venv.py "$installed" "mlflow==$version" -c pass
    local python port
    python=$PWD/$installed/venv/bin/python
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    (
        cd "$running"
        # Without the queue of jobs, which needs processes of its own.
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false setsid "$python" -m mlflow server --host 127.0.0.1 --port "$port" --workers 1 \
            --backend-store-uri "sqlite:///$running/mlflow.db" --artifacts-destination "$running/files" \
            >"$running/log" 2>&1 </dev/null &
        echo $! >"$running/pid"
    )
    for _ in $(seq 300); do
        if curl --silent --fail --noproxy '*' "http://127.0.0.1:$port/health" >/dev/null; then
            echo "http://127.0.0.1:$port"
            return
        fi
        if ! kill -0 "$(cat "$running/pid")" 2>/dev/null; then break; fi
        sleep 1
    done
    cat "$running/log" >&2
    stop
    echo "MLflow $version does not start" >&2
    exit 1
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 start | stop" >&2; exit 2 ;;
esac
