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

# Measures brokers side by side and writes bench/results/NAME.md: just bench NAME ferrymq rabbitmq
bench NAME *BROKERS:
    cargo build --release --package ferrymq --package bench
    bench/run.sh "$@"

# Runs one fuzz target for some seconds (nightly compiler and cargo-fuzz needed).
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run {{ TARGET }} -- -max_total_time={{ SECONDS }}

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
