#!/usr/bin/env bash
# lapin, in Rust: a cargo project of its own, built with one job.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
cargo build --quiet --locked --jobs 1 --manifest-path "$INTEROP/lapin/Cargo.toml" \
  --target-dir "$INTEROP_CACHE/lapin" || { echo "0 passed, 1 failed"; exit 1; }
exec timeout 100 "$INTEROP_CACHE/lapin/debug/lapin-judge" "$HOST" "$PORT"
