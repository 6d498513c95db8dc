# Shell side of the judges: where packages go, and how they get there. Source it.
# Environment: INTEROP_CACHE (default: .cache beside this file). Nothing is installed elsewhere.
INTEROP=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export INTEROP_CACHE=${INTEROP_CACHE:-$INTEROP/.cache}
export HOST=${HOST:-127.0.0.1} PORT=${PORT:-5672} PYTHONPATH=$INTEROP PYTHONDONTWRITEBYTECODE=1
mkdir -p "$INTEROP_CACHE"

# One virtual environment for all judges in Python; made once per state of requirements.txt.
venv() {
  local want mark=$INTEROP_CACHE/venv/.installed
  want=$(sha256sum <"$INTEROP/requirements.txt")
  PY=$INTEROP_CACHE/venv/bin/python
  exec 9>"$INTEROP_CACHE/venv.lock"; flock 9
  if [ "$(cat "$mark" 2>/dev/null)" != "$want" ]; then
    python3 -m venv "$INTEROP_CACHE/venv"
    "$PY" -m pip -q install -r "$INTEROP/requirements.txt" && echo "$want" >"$mark"
  fi
  exec 9>&-
}

# source_of NAME VERSION: the unpacked source distribution, in $SOURCE.
source_of() {
  SOURCE=$INTEROP_CACHE/source/$1-$2
  [ -d "$SOURCE" ] && return
  local load=$INTEROP_CACHE/source/load-$1
  mkdir -p "$load"
  "$PY" -m pip -q download --no-deps --no-binary "$1" -d "$load" "$1==$2"
  tar xzf "$load"/*.tar.gz -C "$INTEROP_CACHE/source"
}

# debian_source NAME VERSION [FOLDER]: the unpacked upstream source of a package of this machine's
# Debian, in $SOURCE. Fails where it can not be had; nothing of the machine's own lists is changed.
debian_source() {
  SOURCE=$INTEROP_CACHE/source/${3:-$1-$2}
  [ -d "$SOURCE" ] && return
  local lists=$INTEROP_CACHE/source/apt
  mkdir -p "$lists/parts" "$lists/state"
  cat /etc/apt/sources.list 2>/dev/null | sed 's/^deb /deb-src /' >"$lists/sources.list"
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$lists/parts/${file##*/}"
  done
  local apt=(-o "Dir::Etc::sourcelist=$lists/sources.list" -o "Dir::Etc::sourceparts=$lists/parts"
    -o "Dir::State::lists=$lists/state" -o Acquire::Retries=2)
  # A package may have further archives that nobody keeps: the one that matters is looked for.
  (cd "$INTEROP_CACHE/source" && apt-get -qq "${apt[@]}" update &&
    { apt-get -qq "${apt[@]}" source --download-only --tar-only "$1" || [ -e "$1_$2.orig.tar.gz" ]; } &&
    tar xzf "$1_$2.orig.tar.gz") >"$lists/output" 2>&1
}

# debian_programs PACKAGE...: what is in these packages of this machine's Debian, unpacked below
# $UNPACKED; nothing is installed or started. Fails where a package can not be had; nothing of the
# machine's own lists is changed.
debian_programs() {
  UNPACKED=$INTEROP_CACHE/debian/$1
  export UNPACKED
  [ -e "$UNPACKED/.whole" ] && return
  local fresh=(-o "Dir::State::lists=$UNPACKED.lists" -o Acquire::Retries=2)
  mkdir -p "$UNPACKED" "$UNPACKED.lists/partial"
  (cd "$UNPACKED" && { apt-get -qq download "$@" ||
    { apt-get -qq "${fresh[@]}" update && apt-get -qq "${fresh[@]}" download "$@"; }; } &&
    for file in *.deb; do dpkg-deb -x "$file" . || exit 1; done &&
    rm -f -- *.deb && touch .whole) >"$UNPACKED.output" 2>&1
}

# node_package NAME@VERSION: installs it where `require` finds it.
node_package() {
  local at=$INTEROP_CACHE/node
  mkdir -p "$at"
  export NODE_PATH=$at/node_modules
  [ -d "$NODE_PATH/${1%@*}" ] || (cd "$at" && npm install --silent --no-audit --no-fund "$1")
}

good=0 bad=0
# check NAME WANTED FOUND
check() {
  if [ "$2" = "$3" ]; then good=$((good + 1)); echo "ok $1"
  else bad=$((bad + 1)); echo "FAIL $1: wanted <$2> found <$3>"; fi
}
finish() { echo "$good passed, $bad failed"; [ "$bad" = 0 ]; }

# pytest_suite NAME EXPECTED_FAILURES ARGUMENT...: a suite of pytest in this folder, the rest of a
# judge: runs it, tells its cases and ends. Its environment goes before it, as before a program.
pytest_suite() {
  local name=$1 may_fail=$2
  shift 2
  report=$(mktemp); trap 'rm -f "$report"' EXIT
  "$PY" -m pytest "$@" -q -rA -p no:cacheprovider --timeout 60 --tb=short >"$report" 2>&1
  pytest_result "$report" "$name" "$may_fail"
  [ "$bad" = 0 ] || grep -vE '^(PASSED|WARNING)' "$report" | tail -60
  finish
}

# pytest_result FILE NAME EXPECTED_FAILURES: turns the summary of a pytest report (-rA) into our
# lines. A case that RabbitMQ fails, too (a line of the third) may fail; every other one must pass or
# be skipped.
pytest_result() {
  local outcome case
  while read -r outcome case; do
    if [ "$outcome" = PASSED ] || [ "$outcome" = SKIPPED ]; then good=$((good + 1)); echo "ok $case"
    elif grep -qxF "$case" <<<"$3"; then echo "expected to fail: $case"
    else bad=$((bad + 1)); echo "FAIL $case"; fi
  done < <(sed '0,/short test summary info/d' "$1" | grep -E '^(PASSED|FAILED|ERROR) ' |
    sed -E 's/ - .*//' | cut -d' ' -f1,2)
  check "$2 ran" yes "$([ "$good" -gt 5 ] && echo yes)"
}

# go_source PACKAGE DEBIAN_PACKAGE: goes to the source of a Go library, as Debian packages it, in a
# GOPATH of the judge's own: it is built as a package of one, which must be writable. Ends the judge
# where it is not installed.
go_source() {
  if ! command -v go >/dev/null || [ ! -d "/usr/share/gocode/src/$1" ]; then
    echo "FAIL ${1##*/} is not installed (apt-get install golang-go $2)"
    echo "0 passed, 1 failed"
    exit 1
  fi
  GOPATH=$(mktemp -d); trap 'rm -rf "$GOPATH"' EXIT
  export GOPATH GO111MODULE=off GOCACHE=$INTEROP_CACHE/go-build
  cp -r /usr/share/gocode/src "$GOPATH/src"
  cd "$GOPATH/src/$1" || exit 1
}

# go_suite LEAST ARGUMENT...: the suite of that source, of which more than so many cases must pass,
# the rest of a judge: runs it, tells its cases and ends. Its environment goes before it.
go_suite() {
  local least=$1 report=$GOPATH/report outcome result name
  shift
  go test -v "$@" -run '^Test' >"$report" 2>&1
  outcome=$?
  while read -r _ result name _; do
    case $result in
    PASS:) good=$((good + 1)); echo "ok $name" ;;
    FAIL:) bad=$((bad + 1)); echo "FAIL $name" ;;
    esac
  done < <(grep -E '^--- (PASS|FAIL): ' "$report")
  check "the suite ends well" 0 "$outcome"
  check "the suite ran" yes "$([ "$good" -gt "$least" ] && echo yes)"
  [ "$bad" = 0 ] || tail -60 "$report"
  finish
}
