#!/bin/sh
# A flywheel every night, from cron:
#
#   30 2 * * *  /opt/flywheel/nightly.sh /opt/flywheel/flywheel.yaml news_classifier /var/log/app/*.jsonl
#
# Silent when all is well, so that cron sends no mail; anything on stderr is worth reading. No lock file: dfwfd has its
# own lock, which the kernel frees with the process, and answers a second run with exit code 75.
#
# DFWFD names the binary when it is not on the PATH; RESULTS the file that one line of JSON per run is added to
# (results.jsonl beside the configuration); KEEP_FROM how far back records are taken (30d).
set -u

if [ "$#" -lt 2 ]; then
    echo "usage: $0 CONFIG WORKLOAD [LOG_FILE...]" >&2
    exit 2
fi
config=$1
workload=$2
shift 2
dfwfd=${DFWFD:-dfwfd}
folder=$(dirname "$config")
results=${RESULTS:-$folder/results.jsonl}
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT

# Records that are there already are not added again, so yesterday's files may be named again. A broken line stops
# nothing: it is in rejects.jsonl, with its reason, and the counts are in loads.jsonl. A log store that cannot be written
# is worth a mail.
if [ "$#" -gt 0 ]; then
    line=$("$dfwfd" --config "$config" -q --format json load "$@" --workload "$workload" \
        --rejects "$folder/rejects.jsonl" 2>"$said")
    code=$?
    [ -z "$line" ] || printf '%s\n' "$line" >>"$folder/loads.jsonl"
    if [ "$code" -ne 0 ]; then
        cat "$said" >&2
        echo "the logs could not be loaded, so nothing was run" >&2
        exit "$code"
    fi
fi

line=$("$dfwfd" --config "$config" -q --format json run --workload "$workload" --since "${KEEP_FROM:-30d}" 2>"$said")
code=$?
if [ "$code" -eq 75 ]; then
    # Last night's run is still going: not an error, the next night tries again.
    exit 0
fi
# The report of the run, or what was wrong: one line either way.
[ -z "$line" ] || printf '%s\n' "$line" >>"$results"
cat "$said" >&2

case $code in
    3)
        # The cluster went away in the middle: what is still held there is given back now, or by the next run.
        "$dfwfd" --config "$config" -q cleanup
        ;;
    4)
        echo "some candidates failed: dfwfd --config $config status latest" >&2
        ;;
    6)
        echo "too few or too broken records of $workload tonight; nothing was deployed" >&2
        ;;
esac
exit "$code"
