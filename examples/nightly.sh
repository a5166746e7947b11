#!/bin/sh
# Runs a flywheel every night, from cron:
#
#   30 2 * * *  /opt/flywheel/nightly.sh /opt/flywheel/flywheel.yaml news_classifier /var/log/app/*.jsonl
#
# The script prints nothing when all is well, so cron sends no mail. It needs no lock file: dfwfd has its own lock, which
# the kernel releases with the process, and a second run exits with code 75. Code 75 with a message means that somebody else
# is on the platform.
#
# Variables:
#   DFWFD      the binary, if it is not on the PATH
#   RESULTS    the file that gets one line of JSON per run (default: results.jsonl beside the configuration)
#   KEEP_FROM  the age of the oldest records to use (default: 30d)
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

# Loading a file again adds nothing, so yesterday's files may be given again. Rejected lines do not end the script: they
# are in rejects.jsonl with their reasons, and the counts are in loads.jsonl. A load that fails is worth a mail.
if [ "$#" -gt 0 ]; then
    line=$("$dfwfd" --config "$config" -q --format json load "$@" --workload "$workload" \
        --rejects "$folder/rejects.jsonl" 2>"$said")
    code=$?
    [ -z "$line" ] || printf '%s\n' "$line" >>"$folder/loads.jsonl"
    if [ "$code" -ne 0 ]; then
        cat "$said" >&2
        echo "cannot load the logs, so nothing was run" >&2
        exit "$code"
    fi
fi

line=$("$dfwfd" --config "$config" -q --format json run --workload "$workload" --since "${KEEP_FROM:-30d}" 2>"$said")
code=$?
case $code:$line in
    75:*"holds the lock"*)
        # Last night's run is still going. That is no error: the next night tries again.
        exit 0
        ;;
esac
# The report of the run or its error, in one line.
[ -z "$line" ] || printf '%s\n' "$line" >>"$results"
cat "$said" >&2

# A run releases what it has taken. Where it could not, its line names what is held; a run that was killed writes no line.
case $code:$line in
    2:* | 75:*) ;;
    3:* | *:*'"held":[{'* | *:) "$dfwfd" --config "$config" -q cleanup ;;
esac

case $code in
    4)
        echo "some candidates failed: dfwfd --config $config status latest" >&2
        ;;
    6)
        echo "the records of $workload cannot be used tonight; nothing was deployed" >&2
        ;;
esac
exit "$code"
