"""Child programs: started, read line by line, and always ended, by their own process id."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time


class ProgramFailed(Exception):
    """A program ended early, or did not say what was expected of it in time."""


class Program:
    """One running child; everything it prints is kept in a log file."""

    def __init__(self, name, command, log_path, **popen):
        self.name = name
        self.log_path = log_path
        self.lines = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            **popen,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def pid(self):
        return self.process.pid

    def _read(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def is_running(self):
        return self.process.poll() is None

    def wait_for_line(self, prefix, timeout_seconds=20):
        """The rest of the first line that begins with `prefix`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise ProgramFailed(f"{self.name} did not print {prefix!r} in {timeout_seconds} s") from None
            if line is None:
                raise ProgramFailed(f"{self.name} ended before {prefix!r}:\n{self.log_tail()}")
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip()

    def log_tail(self, line_count=15):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-line_count:])

    def send_signal(self, number):
        os.kill(self.pid, number)

    def stop(self, timeout_seconds=10):
        """Asks it to end, insists after the timeout; its exit code, or None where it had to be killed."""
        if self.is_running():
            self.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            self.reader.join(timeout=5)


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for candidate in sockets:
            candidate.bind(("127.0.0.1", 0))
        return [candidate.getsockname()[1] for candidate in sockets]
    finally:
        for candidate in sockets:
            candidate.close()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(holds, timeout_seconds=10, pause_seconds=0.05):
    """True as soon as `holds()` is, False if it is not in time."""
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True
