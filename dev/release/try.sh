#!/usr/bin/env bash
# Installs each file of a release in an empty place, and asks it for its version.
#   dev/release/try.sh OUT VERSION        with DRY_RUN set: the source archive and the crates are unpacked and not compiled
set -euo pipefail
out=$1 version=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# A home without settings; the toolchain stays where it is.
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} HOME=$place/home
mkdir -p "$HOME"
answers() {
    said=$(env -u VIRTUAL_ENV -u PYTHONPATH "${@:2}" --version)
    # What is built in a clone names its commit, too.
    [[ $said =~ ^"virpack $version"(" ("[0-9a-f]+")")?$ ]] || { echo "$1 answers \"$said\", not \"virpack $version\"" >&2; exit 1; }
    echo "$1: $said"
}

(cd "$out" && sha256sum --quiet --check SHA256SUMS)
echo "SHA256SUMS: $(wc -l <"$out/SHA256SUMS") files"

mkdir "$place/binary"
tar -xzf "$out/virpack-$version-x86_64-linux.tar.gz" -C "$place/binary"
answers 'the archive of the program' "$place/binary/virpack-$version/virpack"
# The newest glibc that it asks for.
needs=$(objdump -T "$place/binary/virpack-$version/virpack" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
[ -n "${NATIVE:-}" ] || printf '%s\nGLIBC_2.17\n' "$needs" | sort -VC || { echo "the program needs $needs" >&2; exit 1; }
echo "the archive of the program: $needs or later"

python3 -m venv "$place/wheel"
"$place/wheel/bin/python" -m pip install --quiet --disable-pip-version-check "$out"/virpack-*.whl
answers 'the wheel' "$place/wheel/bin/virpack"
printf '>c\nATGGCTAGCATGGCTAGCATGGCTAGC\n' >"$place/c.fasta"
(cd "$place" && wheel/bin/python -c 'import virpack; print("the wheel in Python:", len(virpack.predict("c.fasta").records["call"]), "record")')

mkdir "$place/root"
tar -xzf "$out/virpack-$version-root.tar.gz" -C "$place/root"
if [ "$(id -u)" = 0 ]; then
    answers "the container's file system" chroot "$place/root" /usr/bin/virpack
    cp "$place/c.fasta" "$place/root/data/"
    chroot "$place/root" /usr/bin/virpack predict /data/c.fasta -o /data/verdicts --quiet
    echo "the container's file system: $(wc -l <"$place/root/data/verdicts/sequences.tsv") lines of verdicts"
else
    echo "the container's file system: not tried, which needs root"
fi

python3 - "$out/virpack-$version.cdx.json" <<'EOF'
import json, sys
bill = json.load(open(sys.argv[1]))
assert bill["bomFormat"] == "CycloneDX" and all(part["purl"] and part["licenses"] for part in bill["components"])
print("the bill of materials:", len(bill["components"]), "crates")
EOF

mkdir "$place/source" "$place/crates"
tar -xzf "$out/virpack-$version-source.tar.gz" -C "$place/source"
for crate in "$out/crates"/*.crate; do tar -xzf "$crate" -C "$place/crates"; done
# The crates as they will be on crates.io, each taken from its own file.
{
    printf '[patch.crates-io]\n'
    for crate in "$place/crates"/*; do
        crate=${crate##*/}
        printf '%s = { path = "%s" }\n' "${crate%-"$version"}" "$place/crates/$crate"
    done
} >"$place/patch.toml"
if [ -n "${DRY_RUN:-}" ]; then
    cargo metadata --locked --format-version 1 --manifest-path "$place/source/virpack-$version/Cargo.toml" >"$place/metadata.json"
    echo 'the source archive: its manifest and lock file agree; not compiled in a dry run'
    cargo metadata --config "$place/patch.toml" --format-version 1 --manifest-path "$place/crates/virpack-$version/Cargo.toml" >"$place/metadata.json"
    for crate in "$place/crates"/*; do
        grep -q "path+file://$crate#" "$place/metadata.json" || { echo "no crate asks for ${crate##*/}" >&2; exit 1; }
    done
    echo "the crates: $(find "$place/crates" -mindepth 1 -maxdepth 1 | wc -l) ask for each other; not compiled in a dry run"
else
    cargo install --quiet --locked --path "$place/source/virpack-$version/crates/virpack" --root "$place/installed"
    answers 'the source archive' "$place/installed/bin/virpack"
    cargo install --quiet --config "$place/patch.toml" --path "$place/crates/virpack-$version" --root "$place/from-crates"
    answers 'the crates' "$place/from-crates/bin/virpack"
fi
