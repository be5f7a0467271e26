"""All browser tests: `python tests/browser/run.py [TEST...]`. scripts/test_browser.sh installs what they need."""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import BUILT, CHROMIUM, Browser  # noqa: E402


def main():
    if not CHROMIUM:
        sys.exit("there is no Chromium: install it (on Debian: apt-get install chromium), or name it in CHROMIUM")
    for program in ["ksom", "examples/hub_server", "examples/ties"]:
        if not (BUILT / program).exists():
            sys.exit(f"{BUILT / program} is missing: cargo build --release --workspace --bins --examples")
    loader = unittest.defaultTestLoader
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names) if names else loader.discover(str(HERE))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    Browser.stop()
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


if __name__ == "__main__":
    main()
