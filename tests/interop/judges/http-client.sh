#!/usr/bin/env bash
# The Rust crate rabbitmq_http_client: a cargo project of its own, built with one job.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
cargo build --quiet --locked --jobs 1 --manifest-path "$INTEROP/http_client/Cargo.toml" \
  --target-dir "$INTEROP_CACHE/http-client" || { echo "0 passed, 1 failed"; exit 1; }
exec timeout 100 "$INTEROP_CACHE/http-client/debug/http-client-judge" "$HTTP_PORT" "$PORT"
