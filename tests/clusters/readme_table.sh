#!/usr/bin/env bash
# Compares the verdicts in a directory with the table that README shows for its first command: `readme_table.sh DIR`.
set -euo pipefail
readme=$(dirname "$0")/../../README.md
# Of the first table behind "Try it", columns apart by one space.
expected=$(awk '$0 == "## Try it" {on = 1} on && /^sequence_id/ {table = 1} table && /^```/ {exit} table {$1 = $1; print}' "$readme")
[ "$(wc -l <<<"$expected")" -ge 8 ] || { echo "no table in $readme" >&2; exit 1; }
found=$(cut -f 1,3-4,6-9,11 "$1/sequences.tsv" | awk '{$1 = $1; print}')
diff <(echo "$expected") <(echo "$found") || { echo "$1 has another table than README" >&2; exit 1; }
