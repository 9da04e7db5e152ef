"""The clients: how each is run on a plan, and how its lines become results."""

import json
import subprocess
import threading
from dataclasses import dataclass

import tools

ENDS = ("stop", "kill")
CLIENT_TIMEOUT_SECONDS = 180  # where every case runs into its own timeout


@dataclass(frozen=True)
class Client:
    """One program that takes a plan; `extras` adds to the plan what only this client needs.

    It is given the targets that speak what it speaks.
    """

    name: str
    script: str
    interpreter: object
    extras: object = None
    speaks: tuple = ("echo",)
    holds: tuple = ()  # acts in which it keeps sessions until they end
    needs: tuple = ()  # of a target, beside what each case needs

    def run(self, plan, folder, report, on_held=lambda: None):
        """Reports each case; calls `on_held` once all sessions stand that are to be held.

        Raises Unavailable where the client cannot be had.
        """
        command = [str(self.interpreter()), str(tools.HERE / "clients" / self.script)]
        label = f"{self.name}-{plan['act']}"
        plan = {**plan, "targets": [target for target in plan["targets"] if self.is_for(target)]}
        if self.extras:
            plan |= self.extras(folder, label)
        plan_path = folder / f"plan-{label}.json"
        plan_path.write_text(json.dumps(plan), encoding="utf-8")
        log_path = folder / f"client-{label}.log"
        with open(log_path, "w", encoding="utf-8") as log:
            process = subprocess.Popen([*command, str(plan_path)], stdout=subprocess.PIPE, stderr=log, text=True)
            overdue = threading.Timer(CLIENT_TIMEOUT_SECONDS, process.kill)
            overdue.start()
            try:
                self.relay(process.stdout, report, on_held)
                exit_code = process.wait()
            finally:
                overdue.cancel()
                process.kill()
        if exit_code != 0:
            last_words = log_path.read_text(encoding="utf-8").strip()[-400:]
            report.failed(f"{self.name} ran to its end", f"exit code {exit_code}: {last_words}")

    def is_for(self, target):
        return target["speaks"] in self.speaks and set(self.needs) <= set(target["features"])

    def relay(self, lines, report, on_held):
        for line in lines:
            result, target, case, reason = json.loads(line)
            if result == "HELD":
                on_held()
            else:
                report.add(result, f"{self.name} -> {target}, {case}", reason)


def run_together(clients, plan, folder, report, happen):
    """All `clients` hold their sessions; when these stand, `happen()`, and the clients judge how they end."""
    ready = [threading.Event() for _ in clients]

    def run(client, event):
        try:
            client.run(plan, folder, report, event.set)
        except tools.Unavailable as reason:
            report.skipped(f"client {client.name}", reason)
        finally:
            event.set()

    threads = [threading.Thread(target=run, args=pair) for pair in zip(clients, ready)]
    for thread in threads:
        thread.start()
    for event in ready:
        event.wait()
    result = happen()
    for thread in threads:
        thread.join()
    return result


def browser_extras(folder, label):
    profile = folder / f"profile-{label}"
    profile.mkdir()
    return {"browser": {"path": tools.chromium(), "profile": str(profile)}}


def curl_extras(_folder, _label):
    return {"curl": tools.curl()}


def nghttp_extras(folder, _label):
    return {"nghttp": tools.nghttp(), "folder": str(folder)}


CLIENTS = [
    Client("ws", "with_ws.mjs", tools.node, holds=ENDS),
    Client("websockets", "with_websockets.py", tools.python, holds=ENDS),
    Client("tornado", "with_tornado.py", tools.python, holds=ENDS),
    Client("h2", "with_h2.py", tools.python, needs=("tls", "http2"), holds=("stop",)),
    Client("by-hand", "by_hand.py", tools.bare_python),
    Client("browser", "in_browser.mjs", tools.node, browser_extras, speaks=("echo", "http"), holds=ENDS),
    Client("curl", "with_curl.py", tools.bare_python, curl_extras, speaks=("http",)),
    Client("nghttp", "with_nghttp.py", tools.bare_python, nghttp_extras, speaks=("http",), needs=("tls", "http2")),
    Client("paho", "with_paho.py", tools.python, speaks=("mqtt",)),
    Client("socket.io", "with_socket_io.mjs", tools.node, speaks=("socket.io",)),
]
