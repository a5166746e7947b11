#!/bin/sh
# Tries a flywheel.yaml against mocked NeMo endpoints, on a good day and on bad ones: no GPU, no cluster, no network.
#
#   examples/ci/smoke.sh flywheel.yaml news_classifier sample.jsonl
#
# Without log files the records come from where the configuration says. Each day is a run of its own with a platform of
# its own, which ends with it. The script ends with 0 when every run ended as it should, else with 1; what a run said is
# in OUT/DAY.log and its report in OUT/DAY.json.
#
# DFWFD names the binary when it is not on the PATH; OUT the folder for the results (smoke); GPUS how many GPUs the mocked
# cluster has (8).
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

# Nothing here takes long, so a run that waits in vain is ended soon: these are limits of flywheel.yaml.
export DFWFD__LIMITS__DEPLOY=2m DFWFD__LIMITS__TRAIN=10m DFWFD__LIMITS__EVALUATE=10m DFWFD__LIMITS__ADAPTER=2m
# A create that got no answer is looked up; on this platform it is there at once or not at all.
export DFWFD__LIMITS__SETTLE=0s

# day NAME CODES FAULT RECORDS...: one run under a fault; it has to end with one of the codes and hold no GPU afterwards.
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
    # A platform that lets nobody in any more cannot be given anything back: there the report lists what is left.
    if [ "$verdict" = ok ] && [ "$name" != expired ] && grep -q '"held":\[{' "$out/$name.json"; then
        verdict="FAILED: something is still held"
    fi
    # A fault that strikes nothing tries nothing.
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
