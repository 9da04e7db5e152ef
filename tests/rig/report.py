"""One line per case, and the counts at the end."""

import threading

NOTHING_TRIED = 75


class Report:
    """Prints results as they come; may be used by several threads."""

    def __init__(self, program):
        self.program = program
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.failures = []
        self.lock = threading.Lock()

    def failed(self, case, reason):
        self.add("FAIL", case, reason)

    def skipped(self, case, reason):
        self.add("SKIP", case, reason)

    def judge(self, case, holds, reason=""):
        """Passed where it holds, failed for the reason where not."""
        self.add("PASS" if holds else "FAIL", case, "" if holds else reason)

    def add(self, result, case, reason=""):
        line = f"{result} {case}" + (f": {' '.join(str(reason).split())}" if reason else "")
        with self.lock:
            self.counts[result] += 1
            if result == "FAIL":
                self.failures.append(line)
            print(line, flush=True)

    def finish(self):
        """Prints the failures again and the counts; the exit code: where every case was skipped, nothing has passed."""
        if self.failures:
            print("\nWhat failed:", *self.failures, sep="\n  ")
        passed, failed, skipped = self.counts["PASS"], self.counts["FAIL"], self.counts["SKIP"]
        print(f"\n{self.program}: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
        if failed:
            return 1
        return 0 if passed else NOTHING_TRIED
