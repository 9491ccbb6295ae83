"""Measures how a page of each library stands 50 writes a second on 1,000 rows, in headless Chromium."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from lunora_rx import api
from lunora_rx.blocking import LunoraClient
from tests.browser.conftest import DASHBOARDS, FLAGS, free_port

HERE = Path(__file__).parent
# Frames that the page draws, and the longest time between two: what somebody feels who scrolls or clicks.
WATCH = """(seconds) => new Promise((resolve) => {
    const start = performance.now();
    let frames = 0, longest = 0, last = start, messages = window.__messages;
    const draw = (now) => {
        frames += 1;
        longest = Math.max(longest, now - last);
        last = now;
        if (now - start < seconds * 1000) requestAnimationFrame(draw);
        else resolve({fps: frames / seconds, longest, messages: (window.__messages - messages) / seconds});
    };
    requestAnimationFrame(draw);
})"""
COUNT = """window.__messages = 0;
const Socket = window.WebSocket;
window.WebSocket = class extends Socket {
    constructor(...args) { super(...args); this.addEventListener("message", () => window.__messages++); }
};"""


def main(seconds):
    """Print a line a library."""
    command = [sys.executable, "-m", "benchmarks.dashboards.serving"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        os.environ["LUNORA_URL"] = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            with LunoraClient(os.environ["LUNORA_URL"]) as client:
                for name in DASHBOARDS:
                    print(f"{name:10}", measure(browser, name, seconds, client), flush=True)
    finally:
        server.kill()


def measure(browser, name, seconds, client):
    """Return what one library's page and process do."""
    port = free_port()
    words = DASHBOARDS[name].command.format(app=HERE / f"{name}_page.py", port=port).split()
    words = words if words[0].endswith(".py") else ["-m", *words]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(8)
        page = browser.new_page()
        page.add_init_script(COUNT)
        page.goto(f"http://localhost:{port}{DASHBOARDS[name].path.replace('_app', '_page')}")
        page.get_by_text("live").last.wait_for()
        page.wait_for_timeout(5000)
        watched = psutil.Process(process.pid)
        before, cpu = watched.memory_info().rss, sum(watched.cpu_times()[:2])
        writes = client.query(api.cells.writes)
        seen = page.evaluate(WATCH, seconds)
        cpu = (sum(watched.cpu_times()[:2]) - cpu) / seconds
        writes = (client.query(api.cells.writes) - writes) / seconds
        after = watched.memory_info().rss
        page.close()
        return (
            f"{writes:4.1f} writes/s, {seen['fps']:5.1f} frames/s, longest {seen['longest']:5.0f} ms,"
            f" {seen['messages']:5.1f} messages/s, process {cpu:4.0%} CPU,"
            f" {before / 2**20:.0f} -> {after / 2**20:.0f} MiB"
        )
    finally:
        process.kill()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
