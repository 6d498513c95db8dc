# `just` lists what there is to do.

set positional-arguments

[private]
default:
    @just --list --unsorted

# Formatting, lints, house rules: under a minute when built before.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --quiet -- -D warnings
    cargo xtask tidy

# All tests, or those whose name has FILTER.
test *FILTER:
    cargo test --workspace --quiet -- "$@"

# One seed of the simulation; without a seed, fresh ones, which are printed.
sim *SEED:
    cargo run --profile quick --package sim -- "$@"

# A node with default ports; options go to the binary.
run *OPTIONS:
    cargo run --profile quick --package ferrymq -- "$@"

# Everything beside the peers from Debian (installs them): 25 minutes; or `just bench NAME BROKER...`
bench *ARGUMENTS:
    #!/usr/bin/env bash
    set -euo pipefail
    if [ $# -le 1 ]; then exec bench/full.sh "$@"; fi
    cargo build --release --package ferrymq --package bench
    exec bench/run.sh "$@"

# An hour of everything mixed against one node, then all must be back: just soak --minutes 3
soak *ARGUMENTS:
    cargo build --release --package ferrymq
    bench/soak.sh "$@"

# Runs one fuzz target for some seconds; its corpus grows below fuzz/target (cargo-fuzz needed).
fuzz TARGET SECONDS="60":
    fuzz/run-all {{ SECONDS }} {{ TARGET }}

# Licences, advisories and sources of all dependencies (cargo-deny needed).
deny:
    cargo deny check

# All that must hold, from checks to tests, as a clean clone would see it: about half an hour.
ci:
    .ci/run

# Conversations of real clients with a built node, all or those NAMED.
interop *NAMED:
    cargo build --profile quick --package ferrymq
    FERRYMQ="$PWD/target/quick/ferrymq" tests/interop/run "$@"
