#!/usr/bin/env bash
# The page of `ksom explore` in a real headless Chromium (tests/browser): scripts/test_browser.sh [TEST...]
#
# Takes the Chromium that is there (or CHROMIUM=...), or installs Debian's where it may; Playwright comes from PyPI into a
# folder of its own below target/. What cannot be had is said, and the tests are skipped; with KSOM_BROWSER_TESTS=required
# that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED: the browser tests were not run: $1" >&2
    [ "${KSOM_BROWSER_TESTS:-}" = required ] && exit 1
    exit 0
}

CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$CHROMIUM" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "== installing Chromium"
    { apt-get update -q && apt-get install -qy --no-install-recommends chromium; } > /dev/null 2>&1 || true
    CHROMIUM=$(command -v chromium || true)
fi
[ -n "$CHROMIUM" ] || skip "there is no Chromium (on Debian: apt-get install chromium), or name one in CHROMIUM"
command -v python3 > /dev/null || skip "there is no python3"

target=${CARGO_TARGET_DIR:-target}
tools=$target/browser-tools
if ! "$tools/bin/python" -c "import playwright, PIL" 2> /dev/null; then
    python3 -m venv "$tools" > /dev/null 2>&1 || skip "python3 has no venv (on Debian: apt-get install python3-venv)"
    "$tools/bin/pip" install -q -r tests/browser/requirements.txt || skip "Playwright cannot be had from PyPI"
fi

cargo build --release --locked --workspace --bins --examples
CHROMIUM=$CHROMIUM KSOM_BUILT=$(cd "$target/release" && pwd) "$tools/bin/python" tests/browser/run.py "$@"
