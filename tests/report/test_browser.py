"""The report page in headless Chromium: no requests, no messages, and a layout that fits a phone."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fake_report
from thalweg.report.html import html

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-dev-shm-usage", "--proxy-bypass-list=<-loopback>",
    # what the browser would ask for itself
    "--disable-background-networking", "--disable-component-update", "--disable-features=NetworkTimeServiceQuerying",
    "--gaia-url=http://127.0.0.1:9", "--component-updater=url-source=http://127.0.0.1:9/",
]  # fmt: skip


class Proxy:
    """A proxy that lets nothing through and keeps the first line of each request."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.flag = f"--proxy-server=127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                there, _ = self.socket.accept()
            except OSError:  # closed: the test is over
                return
            with there:
                there.settimeout(5)
                self.requests.append(there.recv(4096).decode(errors="replace").split("\r\n")[0])
                there.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        self.socket.close()


class Browser:
    """Chromium by the WebDriver protocol, behind a proxy of its own."""

    def __init__(self, folder: Path) -> None:
        self.proxy = Proxy()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.driver = subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL)
        self.root = f"http://127.0.0.1:{port}"
        arguments = [*FLAGS, self.proxy.flag, f"--user-data-dir={folder}"]
        options = {"binary": CHROMIUM, "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        deadline = time.monotonic() + 60
        while True:
            try:
                session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except urllib.error.URLError:
                if time.monotonic() > deadline or self.driver.poll() is not None:
                    raise
                time.sleep(0.1)
        self.root += f"/session/{session['sessionId']}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, page: Path, width: int, scheme: str = "light", media: str = "screen") -> None:
        """Open a page in a window of that width."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", media=media, features=features)
        self._ask("POST", "/url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def console(self) -> list[str]:
        """Return the messages of the console since the last call."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def picture(self, file: Path) -> None:
        """Write the whole page as a PNG."""
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.proxy.close()


def page_of(report: dict[str, Any], *, plane: bool = False) -> str:
    pictures = fake_report.plane(report) if plane else fake_report.pictures(report)
    return html(report, pictures, fake_report.curves(report))


def long_names() -> str:
    report = fake_report.report(["vae", "wgan", "real"])
    report["models"][0]["seeds"][0] |= {"state": "failed", "reason": "x" * 300, "run": "runs/" + "a" * 200}
    report["measures"][3]["name"] = "Fréchet distance of " + "features" * 12
    report["measures"][0]["cells"]["wgan"]["reason"] = "no_ability_" * 20
    report["title"], report["command"] = "vae" * 60, "thalweg compare " + "--option value " * 40
    fields = json.dumps(report, ensure_ascii=False).replace(
        '"wgan"', json.dumps("a-model-with-a-name-of-many-letters" * 2)
    )
    return html(json.loads(fields), {}, {})


PAGES = {
    "digits": lambda: page_of(fake_report.report(seeds=2)),
    "mnist": lambda: page_of(fake_report.report(["vae", "wgan", "real"], shape=(1, 28, 28))),
    "moons": lambda: page_of(fake_report.of_plane(), plane=True),
    "empty": lambda: html(fake_report.report([]) | {"measures": []}, {}, {}),
    "long": long_names,
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, page in PAGES.items():
        (folder / f"{name}.html").write_text(page(), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in PAGES}


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


def visit(page: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Return the requests of Chromium while it draws a page, and the messages of the console."""
    proxy = Proxy()
    fields = ["--enable-logging=stderr", "--v=0", f"--user-data-dir={folder / 'profile'}", "--window-size=390,900"]
    command = [str(CHROMIUM), *FLAGS, proxy.flag, *fields, f"--screenshot={folder / 'seen.png'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    proxy.close()
    assert (folder / "seen.png").stat().st_size > 1000, done.stderr
    return proxy.requests, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("name", ["digits", "moons", "long"])
def test_the_page_sends_no_requests_and_logs_nothing(name, pages, tmp_path):
    assert visit(pages[name], tmp_path) == ([], [])


def test_requests_and_messages_are_detected(tmp_path):
    (tmp_path / "page.html").write_text("<img src='http://thalweg.test/x.png'><script>console.log('hello')</script>")
    requests, messages = visit(tmp_path / "page.html", tmp_path)
    assert requests == ["GET http://thalweg.test/x.png HTTP/1.1"]
    assert "hello" in messages[0]


def test_the_policy_blocks_requests_and_scripts(pages, tmp_path):
    smuggled = "<img src='http://thalweg.test/x.png'><script>console.log('hello')</script></main>"
    page = pages["moons"].read_text(encoding="utf-8").replace("</main>", smuggled)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    requests, messages = visit(tmp_path / "page.html", tmp_path)
    assert requests == []
    assert all("Content Security Policy" in line for line in messages)
    assert len(messages) == 2


def test_text_of_the_report_changes_nothing(tmp_path, browser):
    """Without the page's policy, which would stop a script that got in, too."""
    script = (
        """</title></style></pre><script>document.title = 'changed'</script><img src=x onerror="document.title=1">"""
    )
    report = fake_report.report(["vae", "real"]) | {"title": f"mine {script}", "warnings": [script], "command": script}
    report["models"][0]["seeds"][0] |= {"state": "failed", "reason": script, "run": script}
    report["measures"][0] |= {"note": script, "meaning": script}
    page = html(report, fake_report.pictures(report), fake_report.curves(report))
    (tmp_path / "page.html").write_text(page.replace("Content-Security-Policy", "none"), encoding="utf-8")
    browser.open(tmp_path / "page.html", 1440, "light")
    assert browser.run("return document.title") == f"mine {script}"
    assert browser.run("return document.scripts.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", list(PAGES))
def test_the_page_fits_its_window(name, width, scheme, browser, pages):
    browser.open(pages[name], width, scheme)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = """return [...document.querySelectorAll("p, li, dd, dt, h1, h2, figcaption, svg text, img")]
        .filter(e => !e.closest(".scroll, pre") && e.getBoundingClientRect().width)
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
        .map(e => e.textContent.slice(0, 40))"""
    assert browser.run(outside) == []
    assert browser.run("return [...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 0
    assert browser.console() == []


def test_the_table_scrolls_inside_its_box_and_keeps_the_names(browser, pages):
    browser.open(pages["digits"], 390)
    script = """const box = document.querySelector(".scroll"), name = box.querySelector("tbody th[scope=row]");
        const value = name.nextElementSibling, at = e => e.getBoundingClientRect().left, before = [at(name), at(value)];
        box.scrollLeft = 150;
        return [box.scrollWidth > box.clientWidth, at(name) - before[0], at(value) - before[1]]"""
    assert browser.run(script) == [True, 0, -150]


def test_colors_of_the_dark_light_and_printed_page(browser, pages):
    def colors(scheme: str, media: str) -> list[int]:
        browser.open(pages["digits"], 1440, scheme, media)
        fields = browser.run(
            "const s = getComputedStyle(document.documentElement); return [s.backgroundColor, s.color]"
        )
        return [sum(map(int, color.strip("rgb()").split(","))) for color in fields]

    for scheme, media, dark in [("light", "screen", False), ("dark", "screen", True), ("dark", "print", False)]:
        background, ink = colors(scheme, media)
        assert (background < ink) == dark, (scheme, media)


def test_the_page_can_be_printed(browser, pages):
    browser.open(pages["digits"], 1440, "dark")
    fields = browser.devtools("Page.printToPDF", preferCSSPageSize=True)["data"]
    assert base64.b64decode(fields).startswith(b"%PDF")
    browser.open(pages["digits"], 700, "light", "print")
    assert browser.run("return document.querySelector('details table').getBoundingClientRect().height") > 100
