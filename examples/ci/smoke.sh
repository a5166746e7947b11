#!/bin/sh
# Tries a flywheel.yaml against mocked NeMo endpoints that work or fail, without GPU, cluster or network.
#
#   examples/ci/smoke.sh flywheel.yaml news_classifier sample.jsonl
#
# Without log files the records come from the source in the configuration. Each day is one run on a platform of its own. The
# script exits with 0 if every run ended as expected, else with 1. OUT/DAY.log holds the messages of a run, OUT/DAY.json
# its report.
#
# Variables:
#   DFWFD  the binary, if it is not on the PATH
#   OUT    the folder for the results (default: smoke)
#   GPUS   the number of GPUs of the mocked cluster (default: 8)
set -u

if [ "$#" -lt 2 ]; then
    echo "usage: $0 CONFIG WORKLOAD [LOG_FILE...]" >&2
    exit 2
fi
config=$1
workload=$2
shift 2
if [ "$#" -gt 0 ]; then
    set -- --logs "$@"
fi
dfwfd=${DFWFD:-dfwfd}
out=${OUT:-smoke}
gpus=${GPUS:-8}
mkdir -p "$out" || exit 1
state=$(mktemp -d) || exit 1
trap 'rm -rf "$state"' EXIT
failed=0

# These override limits of flywheel.yaml, because nothing takes long on this platform.
export DFWFD__LIMITS__DEPLOY=2m DFWFD__LIMITS__TRAIN=10m DFWFD__LIMITS__EVALUATE=10m DFWFD__LIMITS__ADAPTER=2m
# On this platform, a resource whose create call got no answer appears at once or never.
export DFWFD__LIMITS__SETTLE=0s

# day NAME CODES FAULT RECORDS...: does one run under a fault. It must exit with one of the codes and then hold no GPU.
day() {
    name=$1
    codes=$2
    fault=$3
    shift 3
    "$dfwfd" serve --gpus "$gpus" ${fault:+--fault "$fault"} -- \
        "$dfwfd" --config "$config" --state-dir "$state/$name" --format json run --workload "$workload" "$@" \
        >"$out/$name.json" 2>"$out/$name.log"
    code=$?
    case " $codes " in
        *" $code "*) verdict=ok ;;
        *) verdict="FAILED: expected exit code $codes" ;;
    esac
    # After its token expired a run can release nothing. Its report lists what it still holds.
    if [ "$verdict" = ok ] && [ "$name" != expired ] && grep -q '"held":\[{' "$out/$name.json"; then
        verdict="FAILED: something is still held"
    fi
    # A fault that affects no call tests nothing.
    if [ "$verdict" = ok ] && grep -q 'has struck no call' "$out/$name.log"; then
        verdict="FAILED: the fault has struck no call"
    fi
    echo "$name: exit code $code, $verdict"
    [ "$verdict" = ok ] || failed=1
}

day good 0 '' "$@"
day busy 0 'POST /nemo/v1/customization/jobs: status=429 retry-after=1 times=2' "$@"
day restarting 0 'GET /nemo/**: status=503 page every=5' "$@"
day unanswered 0 'POST /nemo/v1/customization/jobs: drop-after nth=1' "$@"
day late 0 'GET /nemo/v1/evaluation/jobs/*/results: delay=1s' "$@"
day out-of-memory '1 4' "POST /nemo/v1/customization/jobs: fail-job='CUDA out of memory' nth=1" "$@"
day lost '1 4' 'POST /nemo/v1/evaluation/jobs: lose-job nth=1' "$@"
day expired 3 'GET /nemo/v1/customization/jobs/*/status: expire-auth' "$@"
day away 3 'refuse' "$@"

exit "$failed"
