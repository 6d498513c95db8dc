#!/usr/bin/env bash
# The web page in a headless browser: hostile names, accessibility, narrow screens, and a newcomer
# who does everything by clicking. $CHROMIUM names the browser, else Debian's is taken.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
for package in amqplib@2.3.1 playwright-core@1.65.1 axe-core@4.14.1; do node_package "$package"; done
for browser in chromium chromium-browser google-chrome; do
  CHROMIUM=${CHROMIUM:-$(command -v "$browser")}
done
[ -n "$CHROMIUM" ] || { echo "FAIL page: there is no chromium; install it or set CHROMIUM"; exit 1; }
export CHROMIUM
exec timeout 400 node "$INTEROP/judges/page/judge.js"
