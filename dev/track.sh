#!/bin/sh
# Draws README's picture, docs/track.svg, by a real run: the plant virus of examples/metagenome.fasta under the built-in model.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
"${VIRPACK:-virpack}" predict examples/metagenome.fasta -o "$out/verdicts" --plot --device cpu --quiet
cp "$out/verdicts/plots/000004_NC_002795.svg" docs/track.svg
