#!/usr/bin/env bash
# Writes NOTICES.txt, the licences of the crates in the binary, from `cargo metadata`. A test checks that it is current.
set -euo pipefail
cd "$(dirname "$0")/.."
VIRPACK_WRITE_NOTICES=1 cargo test --locked -p virpack --test it the_notices_are_current
