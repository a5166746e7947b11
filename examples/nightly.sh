#!/bin/sh
# A flywheel every night, from cron:
#
#   30 2 * * *  /opt/flywheel/nightly.sh /opt/flywheel/flywheel.yaml news_classifier /var/log/app/*.jsonl
#
# Silent when all is well, so that cron sends no mail; anything on stderr is worth reading. No lock file: dfwfd has its
# own lock, which the kernel frees with the process, and answers a second run with exit code 75.
#
# DFWFD names the binary when it is not on the PATH; RESULTS the file that one line of JSON per night is added to
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
results=${RESULTS:-$(dirname "$config")/results.jsonl}

# Records that are there already are not added again, so yesterday's files may be named again. A broken line is counted,
# not fatal; a log store that cannot be written is.
if [ "$#" -gt 0 ]; then
    "$dfwfd" --config "$config" -q load "$@" --workload "$workload" || exit $?
fi

line=$("$dfwfd" --config "$config" -q --format json run --workload "$workload" --since "${KEEP_FROM:-30d}")
code=$?

case $code in
    0)
        printf '%s\n' "$line" >>"$results"
        ;;
    4)
        # Finished, but some candidates failed: keep the numbers, and say so.
        printf '%s\n' "$line" >>"$results"
        echo "some candidates failed; dfwfd --config $config status latest" >&2
        ;;
    75)
        # Last night's run is still going: not an error, the next night tries again.
        exit 0
        ;;
    6)
        echo "too few or too broken records for $workload tonight; nothing was deployed" >&2
        ;;
    3)
        # The cluster went away in the middle: whatever is still held there is given back now or by the next run.
        echo "a service cannot be reached; dfwfd has said which" >&2
        "$dfwfd" --config "$config" -q cleanup
        ;;
esac
exit "$code"
