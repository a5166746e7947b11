#!/usr/bin/env bash
# Builds what a release offers, into a folder (default: target/release-files):
#
#   dfwfd-VERSION-ARCH-linux-gnu.tar.gz    for systems with glibc; counts GPUs through NVML
#   dfwfd-VERSION-ARCH-linux-musl.tar.gz   static, for any Linux and for empty containers; asks nvidia-smi for GPUs
#   SHA256SUMS                             check with: sha256sum --check SHA256SUMS
#
#   scripts/release.sh [--only gnu|musl] [FOLDER]
#
# Each binary is tried before it is packed: in a root folder that holds nothing else but the libraries that it names, without
# a network, it writes the sample files and runs the whole flywheel on them. Needs Rust with rustup, a C compiler, unshare and
# chroot, and for musl musl-gcc (Debian: apt-get install musl-tools).
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
    echo "release: $*" >&2
    exit 1
}

kinds=(gnu musl)
if [ "${1:-}" = --only ]; then
    kinds=("${2:?gnu or musl}")
    shift 2
fi
out=${1:-target/release-files}
arch=$(uname -m)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ "$(uname -s)" = Linux ] || die "cannot build here: it builds for Linux, on Linux"

# Builds a kind, and prints the path of its binary.
build() {
    local target=$arch-unknown-linux-$1
    if [ "$1" = musl ]; then
        command -v musl-gcc >/dev/null || die "cannot build for musl: there is no musl-gcc (Debian: apt-get install musl-tools)"
        rustup target list --installed | grep -qx "$target" || rustup target add "$target" >&2
    fi
    cargo build --locked --features parquet --profile dist --target "$target" >&2
    echo "${CARGO_TARGET_DIR:-target}/$target/dist/dfwfd"
}

# Runs dfwfd with a folder as its root, and no network but the loopback interface.
confined() {
    local root=$1 as_root=()
    shift
    if [ "$(id -u)" -ne 0 ]; then as_root=(--map-root-user); fi
    # shellcheck disable=SC2016
    unshare ${as_root[@]+"${as_root[@]}"} --net sh -c 'ip link set lo up; exec env -i PATH="$PATH" chroot "$@"' sh "$root" /dfwfd "$@"
}

# Runs the whole flywheel where there is nothing but the binary.
try() {
    local binary=$1 root=$work/root-$2 library
    mkdir -p "$root/tmp"
    cp "$binary" "$root/dfwfd"
    for library in $(ldd "$binary" 2>/dev/null | grep -o '/[^ ]*' || true); do
        mkdir -p "$root$(dirname "$library")"
        cp "$library" "$root$library"
    done
    [ "$(confined "$root" --version)" = "dfwfd $version" ] || die "$binary does not say that it is dfwfd $version"
    confined "$root" -q init --sample
    confined "$root" --format json -q run --workload news_classifier >"$work/$2.json"
    grep -q '"state":"completed"' "$work/$2.json" || die "the run of $binary did not complete: $(cat "$work/$2.json")"
}

mkdir -p "$out"
for kind in "${kinds[@]}"; do
    case $kind in gnu | musl) ;; *) die "there is no kind $kind; there are gnu and musl" ;; esac
    binary=$(build "$kind")
    if [ "$kind" = musl ] && ldd "$binary" >/dev/null 2>&1 && ! ldd "$binary" 2>&1 | grep -q 'statically linked'; then
        die "$binary is not static"
    fi
    try "$binary" "$kind"
    name=dfwfd-$version-$arch-linux-$kind
    mkdir -p "$work/$name"
    cp "$binary" LICENSE README.md CHANGELOG.md "$work/$name/"
    tar -C "$work" --owner=0 --group=0 -czf "$out/$name.tar.gz" "$name"
    echo "release: $out/$name.tar.gz, $(du -h "$out/$name.tar.gz" | cut -f 1)" >&2
done
(cd "$out" && sha256sum dfwfd-"$version"-*.tar.gz >SHA256SUMS)
cat "$out/SHA256SUMS"
