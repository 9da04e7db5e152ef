"""The clients: how each is run on a plan, and how its lines become results."""

import json
import subprocess
import threading
from dataclasses import dataclass

import tools

CLIENT_TIMEOUT_SECONDS = 120  # where every case runs into its own timeout


@dataclass(frozen=True)
class Client:
    """One program that takes a plan; `extras` adds to the plan what only this client needs."""

    name: str
    script: str
    interpreter: object
    extras: object = None

    def run(self, plan, folder, report):
        """Reports each case; raises Unavailable where the client cannot be had."""
        command = [str(self.interpreter()), str(tools.HERE / "clients" / self.script)]
        if self.extras:
            plan = {**plan, **self.extras(folder)}
        plan_path = folder / f"plan-{self.name}.json"
        plan_path.write_text(json.dumps(plan), encoding="utf-8")
        with open(folder / f"client-{self.name}.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen([*command, str(plan_path)], stdout=subprocess.PIPE, stderr=log, text=True)
            overdue = threading.Timer(CLIENT_TIMEOUT_SECONDS, process.kill)
            overdue.start()
            try:
                self.relay(process.stdout, report)
                exit_code = process.wait()
            finally:
                overdue.cancel()
                process.kill()
        if exit_code != 0:
            last_words = (folder / f"client-{self.name}.log").read_text(encoding="utf-8").strip()[-400:]
            report.failed(f"{self.name} ran to its end", f"exit code {exit_code}: {last_words}")

    def relay(self, lines, report):
        for line in lines:
            result, target, case, reason = json.loads(line)
            report.add(result, f"{self.name} -> {target}, {case}", reason)


def browser_extras(folder):
    profile = folder / "browser-profile"
    profile.mkdir()
    return {"browser": {"path": tools.chromium(), "profile": str(profile)}}


CLIENTS = [
    Client("ws", "with_ws.mjs", tools.node),
    Client("websockets", "with_websockets.py", tools.python),
    Client("tornado", "with_tornado.py", tools.python),
    Client("by-hand", "by_hand.py", tools.bare_python),
    Client("browser", "in_browser.mjs", tools.node, browser_extras),
]
