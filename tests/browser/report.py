"""Opens the HTML report of a run in headless Chromium: report.py DFWFD [FOLDER].

Runs the sample, writes its report, and opens it on a desktop and on a phone, light and dark, and as paper. Fails on a message
of the console, on a request for anything but the page, on a page wider than its window, on text that does not stand out from
its background, and on a score that differs from the JSON report. Writes a screenshot of each view to FOLDER for a person to
look at. Needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver).
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

VIEWS = {
    "desktop-light": (1280, "light", "screen"),
    "desktop-dark": (1280, "dark", "screen"),
    "phone-light": (390, "light", "screen"),
    "phone-dark": (390, "dark", "screen"),
    "paper": (794, "light", "print"),
}
# The least contrast of normal text by WCAG 2.2, success criterion 1.4.3.
LEAST_CONTRAST = 4.5

# Returns the texts whose color is nearer to the background below them than LEAST_CONTRAST, by the formula of WCAG 2.2.
PALE_TEXTS = """
const parts = color => color.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const over = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
const below = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parts(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((color, layer) => over(layer, color), dark ? [18, 18, 18] : [255, 255, 255]);
};
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
const pale = [];
for (const element of document.querySelectorAll('body *:not(svg):not(svg *)')) {
    const own = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('');
    if (!own || !element.checkVisibility()) continue;
    const ground = below(element), ink = over(parts(getComputedStyle(element).color), ground);
    const [high, low] = [luminance(ground), luminance(ink)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < LEAST) pale.push(`${own.slice(0, 40)}: ${contrast.toFixed(2)}`);
}
return pale;
""".replace("LEAST", str(LEAST_CONTRAST))


def free_port():
    """Returns a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Browser:
    """A session of Chromium, driven over the WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self, folder):
        """Starts the driver and the browser."""
        port = free_port()
        log = open(os.path.join(folder, "chromedriver.log"), "w", encoding="utf-8")
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=log, stderr=log)
        self.base = f"http://127.0.0.1:{port}"
        self.wait_until_ready()
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
        arguments += ["--disable-background-networking", "--disable-component-update"]
        arguments += [f"--user-data-dir={os.path.join(folder, 'profile')}"]
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/session/{session['sessionId']}"

    def wait_until_ready(self):
        """Waits for the driver to listen."""
        for _ in range(600):
            try:
                return self.ask("GET", "/status")
            except OSError:
                time.sleep(0.1)
        raise SystemExit("chromedriver does not answer within a minute")

    def ask(self, method, path, body=None):
        """Sends a command and returns its value."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["value"]

    def devtools(self, command, **parameters):
        """Sends a command of the DevTools protocol."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def script(self, text):
        """Runs a script in the page and returns its value."""
        return self.ask("POST", "/execute/sync", {"script": text, "args": []})

    def log(self, name):
        """Returns the entries since the last call."""
        return self.ask("POST", "/se/log", {"type": name})

    def close(self):
        """Ends the browser and the driver."""
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()


def open_view(browser, url, view, folder):
    """Opens the page in a view, takes its picture, and returns what is wrong with it."""
    width, scheme, medium = VIEWS[view]
    browser.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    scheme = {"name": "prefers-color-scheme", "value": scheme}
    browser.devtools("Emulation.setEmulatedMedia", media=medium, features=[scheme])
    # The page that the browser begins with makes requests of its own.
    browser.log("performance")
    browser.ask("POST", "/url", {"url": url})
    wrong = [f"the console says {entry['message']}" for entry in browser.log("browser")]
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    wrong += [f"requests {one}" for one in sent if one != url]
    if url not in sent:
        wrong.append(f"requests are not seen: {sent}")
    wide = browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        wrong.append(f"is {wide} px wider than its window")
    wrong += [f"is hard to read at {one}" for one in browser.script(PALE_TEXTS)]
    shot = browser.devtools("Page.captureScreenshot", captureBeyondViewport=True)
    with open(os.path.join(folder, f"{view}.png"), "wb") as picture:
        picture.write(base64.b64decode(shot["data"]))
    return wrong


def different_scores(browser, report):
    """Compares the scores that the page marks with those of the JSON report."""
    script = "return [...document.querySelectorAll('[data-score]')].map(e => [e.dataset.score, Number(e.dataset.value)])"
    shown = sorted(map(tuple, browser.script(script)))
    evaluations = [one for candidate in report["candidates"] for one in candidate["evaluations"].values() if one]
    told = sorted((name, score["value"]) for one in evaluations for name, score in one["scores"].items())
    if not told or shown != told:
        return [f"shows {len(shown)} scores, the JSON report has {len(told)}: {set(shown) ^ set(told)}"]
    return []


def main():
    """Opens the report of a run in every view."""
    dfwfd = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as work:
        folder = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else work
        os.makedirs(folder, exist_ok=True)

        def run(*arguments):
            ended = subprocess.run([dfwfd, *arguments], cwd=work, capture_output=True, text=True, check=False)
            if ended.returncode != 0:
                raise SystemExit(f"dfwfd {' '.join(arguments)}: exit code {ended.returncode}\n{ended.stderr}")
            return ended.stdout

        run("init", "--sample")
        run("run", "--workload", "news_classifier")
        run("report", "--format", "html", "--output", "report.html")
        report = json.loads(run("report", "--format", "json"))
        browser = Browser(work)
        try:
            url = f"file://{work}/report.html"
            wrong = []
            for view in VIEWS:
                wrong += [f"{view}: the page {one}" for one in open_view(browser, url, view, folder)]
            wrong += different_scores(browser, report)
        finally:
            browser.close()
        for one in wrong:
            print(one)
        kept = f"; pictures in {folder}" if folder != work else ""
        print(f"{len(VIEWS)} views, {len(wrong)} faults{kept}")
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
