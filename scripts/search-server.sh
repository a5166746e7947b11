#!/usr/bin/env bash
# A search server for the tests of tests/elastic: fetched from Maven once, started on a free port of 127.0.0.1 with an
# empty data folder.
#
#   scripts/search-server.sh start es9     prints its URL once it answers
#   scripts/search-server.sh stop es9 os3  ends those that were started
#
# Names: es9, es8, es7 (Elasticsearch), os3, os2 (OpenSearch). Needs Maven, unzip, curl and a JDK: 17 for es7, es8 and
# os2, 21 to 25 for es9 and os3. DFWFD_SEARCH_SERVERS says where everything is kept.
set -euo pipefail

home=${DFWFD_SEARCH_SERVERS:-/var/tmp/dfwfd-search-servers-$(id -u)}

die() {
    echo "search-server: $*" >&2
    exit 1
}

# Artifact, version, and the oldest and newest JDK that a name stands for.
describe() {
    local es=org.elasticsearch.distribution.integ-test-zip:elasticsearch
    local os=org.opensearch.distribution.integ-test-zip:opensearch
    case $1 in
    es9) echo "$es 9.2.0 21 25" ;;
    es8) echo "$es 8.19.0 17 25" ;;
    es7) echo "$es 7.17.28 11 21" ;;
    os3) echo "$os 3.4.0 21 25" ;;
    os2) echo "$os 2.19.1 11 21" ;;
    *) die "there is no server $1; there are es9, es8, es7, os3, os2" ;;
    esac
}

# The folder of a JDK between two versions, the newest.
jdk() {
    local folder version best=0 found=
    for folder in ${JAVA_HOME:+"$JAVA_HOME"} /usr/lib/jvm/*/ /Library/Java/JavaVirtualMachines/*/Contents/Home/; do
        [ -x "$folder/bin/java" ] || continue
        version=$("$folder/bin/java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
        if [ "${version:-0}" -ge "$1" ] && [ "$version" -le "$2" ] && [ "$version" -gt "$best" ]; then
            best=$version
            found=$folder
        fi
    done
    [ -n "$found" ] || die "there is no JDK from $1 to $2 (Debian: apt-get install openjdk-21-jre-headless)"
    (cd "$found" && pwd -P)
}

# Runs a command as someone whom the servers accept: not root.
unprivileged() {
    if [ "$(id -u)" -eq 0 ]; then setpriv --reuid nobody --regid nogroup --clear-groups "$@"; else "$@"; fi
}

start() {
    local name=$1 artifact version oldest newest product java server place url port
    read -r artifact version oldest newest < <(describe "$name")
    [ -n "$artifact" ] || exit 1
    product=${artifact##*:}
    java=$(jdk "$oldest" "$newest")
    server=$home/$product-$version
    place=$home/running-$name
    umask 022
    mkdir -p "$home"
    if [ ! -d "$server" ]; then
        command -v mvn >/dev/null || die "there is no Maven (Debian: apt-get install maven)"
        echo "search-server: fetching $product $version" >&2
        mvn -B -q dependency:copy "-Dartifact=$artifact:$version:zip" "-DoutputDirectory=$home" -Dmdep.useBaseVersion=true >&2
        rm -rf "$home/unpacking"
        unzip -q "$home/$product-$version.zip" -d "$home/unpacking"
        # Archives hold no empty folders.
        mkdir -p "$home/unpacking/$product-$version/plugins"
        chmod -R a+rX "$home/unpacking"
        mv "$home/unpacking/$product-$version" "$server"
        rm -rf "$home/unpacking" "$home/$product-$version.zip"
    fi
    stop "$name"
    rm -rf "$place"
    mkdir -p "$place/data" "$place/logs"
    cp -r "$server/config" "$place/config"
    # Its own settings write logs of the collector and dumps beside the program, which belongs to all.
    sed -i.bak -e '/logs\//d' -e '/path=data/d' "$place/config/jvm.options"
    local settings=(-Ediscovery.type=single-node -Enetwork.host=127.0.0.1 -Ehttp.port=0 -Etransport.port=0
        "-Epath.data=$place/data" "-Epath.logs=$place/logs" -Ecluster.routing.allocation.disk.threshold_enabled=false)
    local prefix=OPENSEARCH
    if [ "$product" = elasticsearch ]; then
        prefix=ES
        settings+=(-Expack.security.enabled=false)
    fi
    if [ "$(id -u)" -eq 0 ]; then chown -R nobody:nogroup "$place"; fi
    unprivileged env "${prefix}_JAVA_HOME=$java" "${prefix}_PATH_CONF=$place/config" "HOME=$place" \
        "${prefix}_JAVA_OPTS=-Xms512m -Xmx512m" "$server/bin/$product" -d -p "$place/pid" "${settings[@]}" \
        >"$place/console.log" 2>&1 </dev/null || die "$name did not start: $(tail -n 20 "$place/console.log")"
    for _ in $(seq 240); do
        # Which port it has taken stands in its log.
        port=$( (cat "$place"/logs/*.log 2>/dev/null || true) |
            sed -n 's/.*[Hh]ttp.*publish_address {[^}]*127\.0\.0\.1:\([0-9]*\)}.*/\1/p' | tail -n 1)
        url=http://127.0.0.1:$port
        if [ -n "$port" ] && curl -fsS "$url/_cluster/health" 2>/dev/null | grep -q '"status":"\(green\|yellow\)"'; then
            echo "$url"
            return
        fi
        sleep 0.5
    done
    stop "$name"
    die "$name does not answer: $(tail -n 20 "$place/console.log")"
}

stop() {
    local place=$home/running-$1 pid
    pid=$(cat "$place/pid" 2>/dev/null || true)
    if [ -n "$pid" ] && ps -p "$pid" -o args= 2>/dev/null | grep -q search; then
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$place/pid"
}

case ${1:-} in
start) start "${2:?which server}" ;;
stop)
    shift
    for name in "$@"; do stop "$name"; done
    ;;
*) die "start NAME, or stop NAME..." ;;
esac
