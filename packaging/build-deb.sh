#!/usr/bin/env bash
# Builds the Debian package: needs cargo-deb. The last line is where it is.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --profile image -p ferrymq
out=target/packaging
mkdir -p "$out"
target/image/ferrymq man | gzip -9n >"$out/ferrymq.1.gz"
target/image/ferrymq completions bash >"$out/ferrymq.bash"
target/image/ferrymq completions zsh >"$out/_ferrymq"
target/image/ferrymq completions fish >"$out/ferrymq.fish"
cargo deb --no-build --no-strip --profile image -p ferrymq
