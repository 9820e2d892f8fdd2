"""A headless Chromium, driven through a pipe: no package, no port, no network."""

import itertools
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def binary():
    """Where a Chromium is, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page. ``problems`` holds what the console said, and every request off the disk."""

    def __init__(self, profile):
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        # What the program reads and writes is 3 and 4, whatever numbers the pipes have here.
        far = [os.dup2(end, 60 + i) for i, end in enumerate((to_child, from_child))]
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        words = [binary(), *FLAGS, *root, f"--user-data-dir={profile}", "about:blank"]
        shell = f'exec "$0" "$@" 3<&{far[0]} 4>&{far[1]}'
        self._child = subprocess.Popen(
            ["bash", "-c", shell, *words],
            pass_fds=far,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_child, from_child, *far):
            os.close(end)
        self._count, self._rest, self._session = itertools.count(1), b"", None
        self.problems = []
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(page["targetId"] for page in pages if page["type"] == "page")
        found = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """One command of the DevTools protocol, and its answer."""
        number = next(self._count)
        asked = {"id": number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self):
        while b"\0" not in self._rest:
            part = os.read(self._in, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._rest += part
        one, _, self._rest = self._rest.partition(b"\0")
        told = json.loads(one)
        self._watch(told.get("method", ""), told.get("params", {}))
        return told

    def _watch(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"])
        elif method == "Network.requestWillBeSent":
            address = params["request"]["url"]
            if not address.startswith(("file:", "data:", "about:")):
                self.problems.append(address)

    def run(self, script):
        """The value of an expression in the page."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def until(self, script, seconds=20):
        """Wait until an expression holds; how long that took."""
        begin = time.monotonic()
        while not self.run(script):
            if time.monotonic() - begin > seconds:
                raise AssertionError(f"after {seconds} s not true: {script}")
            time.sleep(0.02)
        return time.monotonic() - begin

    def look(self, width, height=900, theme="light"):
        """A window of that width, under a system with that theme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def open(self, path):
        """Open a file; how long it took until it can be used."""
        self.call("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        begin = time.monotonic()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.until("document.documentElement?.dataset.ready === 'true'")
        return time.monotonic() - begin

    def key(self, name, code=0):
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(name)
        extra = {"text": text} if text else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                **(extra if kind == "keyDown" else {}),
            )  # fmt: skip

    def mouse(self, kind, x, y, button="none"):
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased``."""
        self.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1,
            buttons=int(button == "left" and kind != "mouseReleased"),
        )  # fmt: skip

    def shot(self, path):
        """A picture of the window."""
        import base64

        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self):
        """End the program."""
        try:
            self._session = None
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
        os.close(self._out)
        os.close(self._in)
