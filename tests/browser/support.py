"""Chromium and what it talks to: the page as the command serves it, the exported folder, a Hub of this machine."""

import ast
import functools
import hashlib
import http.server
import json
import os
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BUILT = Path(os.environ.get("KSOM_BUILT", ROOT / "target" / "release"))
CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or shutil.which("chromium-browser") or "")
EXAMPLES = ROOT / "examples" / "images"
MODELS = ROOT / "models"
# Milliseconds; this machine may have much to do.
PATIENCE = 120_000


def command(*arguments, environment=None):
    """Runs ksom, which should succeed; gives what it printed as JSON."""
    finished = subprocess.run(
        [BUILT / "ksom", *map(str, arguments), "--json"], capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    if finished.returncode != 0:
        raise AssertionError(f"ksom {' '.join(map(str, arguments))}: {finished.stderr}")
    return json.loads(finished.stdout) if finished.stdout.strip() else None


class Served:
    """`ksom explore` on a free port."""

    def __init__(self, *arguments, environment=None):
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})}
        self.process = subprocess.Popen(
            [BUILT / "ksom", "explore", "--no-open", *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment
        )
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.address

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Folder:
    """A folder as `python3 -m http.server` serves it; counts what it sends, heads included."""

    def __init__(self, folder):
        counted = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def copyfile(self, source, outputfile):
                bytes = source.read()
                with counted.lock:
                    counted.sent.append((self.path, len(bytes) + sum(map(len, self.head))))
                outputfile.write(bytes)

            def flush_headers(self):
                self.head = list(getattr(self, "_headers_buffer", []))
                super().flush_headers()

        self.sent = []
        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Hub:
    """The Hub of the tests, with a model that may be read."""

    def __init__(self):
        self.process = subprocess.Popen([BUILT / "examples" / "hub_server"], stdout=subprocess.PIPE, text=True)
        self.endpoint, self.token, _ = self.process.stdout.readline().split()
        self.home = tempfile.TemporaryDirectory()

    def push(self, model, name, *more):
        environment = {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": self.token, "HF_HOME": self.home.name, "HF_HUB_OFFLINE": "0"}
        return command("push", model, name, *more, environment=environment)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.home.cleanup()


class Browser:
    """One Chromium for all tests; every page has a context of its own."""

    _playwright = None
    _chromium = None

    @classmethod
    def get(cls):
        if cls._chromium is None:
            cls._playwright = sync_playwright().start()
            # As root there is no sandbox; the camera shows moving stripes.
            options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
            cls._chromium = cls._playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        return cls._chromium

    @classmethod
    def stop(cls):
        if cls._chromium is not None:
            cls._chromium.close()
            cls._playwright.stop()
            cls._chromium = None


class PageTest(unittest.TestCase):
    """A test with pages; what the browser's console says against one fails it."""

    def setUp(self):
        self.contexts = []
        self.complaints = []
        # What tests themselves do.
        self.allowed = ["willReadFrequently"]

    def tearDown(self):
        for context in self.contexts:
            context.close()
        left = [line for line in self.complaints if not any(part in line for part in self.allowed)]
        self.assertEqual(left, [], "the browser's console")

    def page(self, width=1440, height=900, **options):
        context = Browser.get().new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda it: self.complaints.append(it.text) if it.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def open(self, address, **options):
        """A page whose first picture is reconstructed and whose map is drawn."""
        page = self.page(**options)
        page.goto(address)
        finish(page)
        return page


def finish(page, state="done", map=True):
    """Waits until the page is at rest."""
    page.wait_for_selector(f"html[data-state={state}]", state="attached")
    if map and state == "done":
        page.wait_for_selector("html[data-map=done]", state="attached")


def change(page, act):
    """Does something that changes the codes, and waits for the decoding; gives the new hash."""
    before = data(page, "codes")
    act()
    page.wait_for_function("before => document.documentElement.dataset.codes !== before", arg=before)
    finish(page, map=False)
    return data(page, "codes")


def data(page, name):
    return page.evaluate(f"document.documentElement.dataset.{name}")


def state(page, expression):
    """A value of the page's own state."""
    return page.evaluate(f"import('./js/state.js').then(({{ state, current, levelInfo }}) => {expression})")


def codes(page):
    """The codes that are shown, level by level."""
    return state(page, "state.levels.map((level) => [...level.shown])")


def sha256(levels):
    return hashlib.sha256(b"".join(struct.pack(f"<{len(level)}I", *level) for level in levels)).hexdigest()


def read_npy(path):
    """The numbers of a NumPy file of unsigned whole numbers, and its shape."""
    bytes = Path(path).read_bytes()
    length = struct.unpack("<H", bytes[8:10])[0]
    header = ast.literal_eval(bytes[10 : 10 + length].decode())
    kind = {"|u1": "B", "<u2": "H", "<u4": "I"}[header["descr"]]
    count = 1
    for side in header["shape"]:
        count *= side
    return list(struct.unpack(f"<{count}{kind}", bytes[10 + length :])), header["shape"]


def wait(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
