#!/usr/bin/env bash
# NeMo Helix for the tests of tests/helix: NVIDIA's platform from its published Python package, on a free port of 127.0.0.1,
# with empty data. It needs no GPU, container runtime or cluster.
#
#   scripts/helix-server.sh start [KIND]   prints its URL once it is healthy; a second call prints the same URL
#   scripts/helix-server.sh stop [KIND...] ends what it has started
#   scripts/helix-server.sh log [KIND]     prints what the platform has logged
#   scripts/helix-server.sh calls [KIND]   prints the calls that it has answered, with the statuses
#   scripts/helix-server.sh token          prints a token for the kind `secured`
#   scripts/helix-server.sh fetch          only installs
#
# KIND says what of the platform is replaced:
#   loop (default)  the training step and the model container are stand-ins, see scripts/helix/
#   failing         the same, and every training fails
#   secured         as loop, and every request needs a token
#   plain           nothing: it refuses training jobs and deployments
#
# It needs Python 3.12, 3.13 or 3.14 with venv, which newer systems ship (Debian 13, Ubuntu 24.04: apt-get install
# python3-venv). DFWFD_HELIX_PYTHON names one, and those of pyenv are found. Where there is none, an older python3 fetches
# 3.12 with uv. It fetches some 400 MB once and keeps 1.5 GB.
# DFWFD_HELIX_SERVER says where the platform is installed, DFWFD_HELIX_RUNNING where those that run have their data,
# DFWFD_HELIX_VERSION which version (default 0.8.1; others are installed without pinned dependencies).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/helix" && pwd)
version=${DFWFD_HELIX_VERSION:-0.8.1}
home=${DFWFD_HELIX_SERVER:-/var/tmp/dfwfd-helix-$(id -u)}
running=${DFWFD_HELIX_RUNNING:-$home}
patience=${DFWFD_HELIX_PATIENCE_S:-240}
admin=admin@dfwfd.test

die() {
    echo "helix-server: $*" >&2
    exit 1
}

# Prints the path of a Python that the package supports.
find_python() {
    local python
    for python in ${DFWFD_HELIX_PYTHON:-} python3.12 python3.13 python3.14 "$HOME"/.pyenv/versions/3.1[234]*/bin/python python3 \
        "$home"/python/*/bin/python3.12; do
        command -v "$python" >/dev/null 2>&1 || continue
        "$python" -c 'import sys, venv, ensurepip; assert (3, 12) <= sys.version_info < (3, 15); print(sys.executable)' 2>/dev/null && return
    done
    return 1
}

# Fetches a Python with uv, into the folder of the platform.
install_python() {
    echo "helix-server: there is no Python 3.12, 3.13 or 3.14 with venv; fetching 3.12 with uv" >&2
    mkdir -p "$home"
    python3 -m venv "$home/uv-for-python" &&
        "$home/uv-for-python/bin/pip" install --quiet --disable-pip-version-check uv &&
        "$home/uv-for-python/bin/uv" python install --no-progress --no-bin --install-dir "$home/python" 3.12
}

# Installs the platform once, and prints the folder of its environment.
fetch() {
    local python environment
    python=$(find_python) || { install_python >&2 && python=$(find_python); } ||
        die "there is no Python 3.12, 3.13 or 3.14 with venv, and uv cannot fetch one: install one (pyenv install 3.12; Debian 13, Ubuntu 24.04: apt-get install python3-venv), or name it in DFWFD_HELIX_PYTHON"
    environment=$home/$version-$("$python" -c 'import sys; print("py%d%d" % sys.version_info[:2])')
    if [ ! -e "$environment/complete" ]; then
        mkdir -p "$home"
        (
            flock 9
            [ ! -e "$environment/complete" ] || exit 0
            echo "helix-server: installing nemo-helix $version (some 400 MB, once)" >&2
            rm -rf "$environment"
            "$python" -m venv "$environment"
            "$environment/bin/pip" install --quiet --disable-pip-version-check uv >&2
            local pins=()
            if [ "$version" = 0.8.1 ]; then pins=(--constraint "$here/constraints.txt"); fi
            UV_CACHE_DIR=$home/uv "$environment/bin/uv" pip install --quiet --python "$environment/bin/python" \
                ${pins[@]+"${pins[@]}"} "nemo-helix[all]==$version" >&2
            rm -rf "$home/uv"
            touch "$environment/complete"
        ) 9>"$home/install.lock" || die "nemo-helix $version cannot be installed"
    fi
    echo "$environment"
}

# Succeeds when a process was started with a variable. Its process may end meanwhile, or belong to somebody else.
has_variable() {
    { tr '\0' '\n' <"/proc/$1/environ"; } 2>/dev/null | grep -qxF "$2"
}

# Succeeds when the recorded process is alive and ours; process ids are used again.
is_running() {
    local pid
    pid=$(cat "$running/$1/pid" 2>/dev/null) || return 1
    has_variable "$pid" "DFWFD_HELIX_FOLDER=$running/$1"
}

# The HTTP API answers before the controllers work, and before the administrator may do anything, so all are asked.
is_healthy() {
    "$1/bin/python" - "$2" "$(token)" <<'PYTHON' 2>/dev/null
import json, sys, urllib.request
def get(path):
    request = urllib.request.Request(sys.argv[1] + path, headers={"Authorization": f"Bearer {sys.argv[2]}"})
    return json.load(urllib.request.urlopen(request, timeout=5))
get("/health/ready")
get("/apis/entities/v2/workspaces")
status = get("/status")
sys.exit(not (status["status"] == "healthy" and status["controllers"]["healthy"]))
PYTHON
}

# Writes the platform's configuration: everything on this machine, jobs as processes, a look every four
# seconds. A platform that is late by two looks calls its controllers unhealthy.
configure() {
    local kind=$1 port=$2 folder=$3
    local runtime=kubernetes auth='{enabled: false}' seed=false
    if [ "$kind" = plain ]; then runtime=none; fi
    # The roles of the administrator are seeded.
    if [ "$kind" = secured ]; then
        seed=true
        auth="{enabled: true, allow_unsigned_jwt: true, admin_email: $admin, policy_data_refresh_interval: 4, policy_decision_point_base_url: \"http://127.0.0.1:$port\"}"
    fi
    cat <<YAML
platform: {runtime: $runtime, base_url: "http://127.0.0.1:$port", seed_on_startup: $seed}
auth: $auth
secrets: {allow_key_creation: true}
files:
  default_storage_config: {type: local, path: "$folder/data/files"}
  # A stand-in for the Hugging Face Hub may listen on the next port.
  allowed_external_hosts: "https://huggingface.co,http://127.0.0.1:$((port + 1))"
jobs:
  enable_subprocess_executor: true
  schedule_interval_seconds: 4
  reconcile_interval_seconds: 4
  executors:
    - {provider: subprocess, profile: default, backend: subprocess, config: {working_directory: "$folder/data/jobs"}}
YAML
    if [ "$kind" != plain ]; then
        cat <<YAML
    - {provider: subprocess, profile: gpu, backend: subprocess, config: {working_directory: "$folder/data/jobs"}}
    - {provider: gpu, profile: gpu, backend: e2e}
    - {provider: gpu, profile: default, backend: e2e}
deployments:
  executors: [{name: stub, backend: stub}]
  default_executor: stub
  controller: {interval_seconds: 4}
YAML
    fi
    cat <<YAML
models:
  controller:
    interval_seconds: 4
    backends:
      deployments_plugin: {enabled: true, default_executor: stub, k8s_executor: stub}
YAML
}

start() {
    local kind=$1 folder=$running/$1 environment port url
    environment=$(fetch)
    if is_running "$kind"; then
        url=http://127.0.0.1:$(cat "$folder/port")
        if is_healthy "$environment" "$url"; then
            echo "$url"
            return
        fi
        stop "$kind"
    fi
    rm -rf "$folder"
    mkdir -p "$folder/data/jobs" "$folder/home" "$folder/state"
    chmod 700 "$folder"
    port=$("$environment/bin/python" "$here/free_ports.py")
    echo "$port" >"$folder/port"
    configure "$kind" "$port" "$folder" >"$folder/config.yaml"
    # The service had another name before 0.8.
    local evaluations=evals
    if [[ $version == 0.7.* ]]; then evaluations=evaluator; fi
    local controllers=jobs,models,entities program=("$environment/bin/nemo")
    if [ "$kind" != plain ]; then
        controllers=$controllers,deployments
        program=("$environment/bin/python" "$here/platform_with_stand_ins.py")
    fi
    local variables=(
        "DFWFD_HELIX_FOLDER=$folder" "HELIX_JOBS=$folder/data/jobs" "NHX_DATA_DIR=$folder/data"
        "HOME=$folder/home" "XDG_STATE_HOME=$folder/state" "XDG_DATA_HOME=$folder/data"
        NEMO_TELEMETRY_ENABLED=false DO_NOT_TRACK=1 LITELLM_LOCAL_MODEL_COST_MAP=True
        NO_PROXY=127.0.0.1,localhost NHX_PLATFORM_SEED_GUARDRAILS_ENABLED=false NHX_PLATFORM_SEED_MODEL_PROVIDER_ENABLED=false
    )
    if [ "$kind" = failing ]; then variables+=(HELIX_FAIL_TRAINING=1); fi
    if [ "$kind" = secured ]; then variables+=("HELIX_TOKEN=$(token)"); fi
    (
        cd "$folder"
        exec env "${variables[@]}" "${program[@]}" services run --host 127.0.0.1 --port "$port" --config config.yaml \
            --services auth,entities,secrets,files,models,deployments,jobs,inference-gateway,$evaluations,customization \
            --controllers "$controllers" >log 2>&1 </dev/null &
        echo $! >pid
    )
    url=http://127.0.0.1:$port
    for _ in $(seq "$patience"); do
        sleep 1
        if ! is_running "$kind"; then
            tail -n 15 "$folder/log" >&2
            die "it ended while it was starting"
        fi
        if is_healthy "$environment" "$url"; then
            echo "$url"
            return
        fi
    done
    die "it is not healthy after $patience s; see $folder/log"
}

# Prints a token of the administrator for a day. It is not signed: the kind `secured` takes such ones.
token() {
    python3 - "$admin" <<'PYTHON'
import base64, json, sys, time
def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
now = int(time.time())
claims = {"sub": sys.argv[1], "email": sys.argv[1], "iat": now, "exp": now + 86400}
print(part({"alg": "none", "typ": "JWT"}), part(claims), "", sep=".")
PYTHON
}

# Ends a platform and the job processes that it has started, which carry its HOME.
stop() {
    local kind=$1 folder=$running/$1 pid process
    if ! is_running "$kind"; then
        rm -f "$folder/pid"
        return
    fi
    pid=$(cat "$folder/pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 20); do
        is_running "$kind" || break
        sleep 0.5
    done
    for process in /proc/[0-9]*; do
        if has_variable "${process#/proc/}" "HOME=$folder/home"; then kill -9 "${process#/proc/}" 2>/dev/null || true; fi
    done
    rm -f "$folder/pid"
}

command=${1:-}
[ $# -gt 0 ] && shift
kinds=("${@:-loop}")
for kind in "${kinds[@]}"; do
    case $kind in
    loop | failing | secured | plain) ;;
    *) die "there is no kind $kind; there are loop, failing, secured, plain" ;;
    esac
done
case $command in
start) start "${kinds[0]}" ;;
stop) for kind in "${kinds[@]}"; do stop "$kind"; done ;;
log) cat "$running/${kinds[0]}/log" ;;
calls) python3 "$here/calls.py" "$running/${kinds[0]}/log" ;;
token) token ;;
fetch) fetch >/dev/null ;;
*) die "usage: scripts/helix-server.sh start|stop|log|calls|token|fetch [loop|failing|secured|plain]" ;;
esac
