"""Sessions come and go for minutes: clients and backends are killed, files change, and at the end all is drained.

Nothing may leak, and what the gateway counted has to be what the generator counted: to the message and to the byte, but
for sessions that were killed in the middle of messages, where nobody knows what of them was on its way.
"""

import asyncio
import collections
import dataclasses
import json
import random
import socket
import statistics
import struct
import time

from reload import (
    RELOAD_TIMEOUT_SECONDS,
    Samples,
    growth,
    judge_sessions,
    reload_counts,
    reload_is_counted,
    variant_of,
)

TICKS = 60  # fewer where the machine is slow: what counts is the time
BACKEND_KILLS = 8
RELOADS = 20
CHURN = 0.01  # of the sessions, that are killed in a tick, and as many that end in order
BACKEND_AWAY_SECONDS = 1
ENDED_TIMEOUT_SECONDS = 90
WARM_UP = 0.2  # of the time, before memory and descriptors are compared
# How a session may end: as the gateway should record it.
CLOSED, KILLED = ("client", "finished"), ("client", "lost")
ORPHANED, DRAINED = ("backend", "lost"), ("gateway", "drain")
BACKEND_LOST, SERVICE_RESTART = 1014, 1012
BYTES_OF_CLOSE = 4  # of a backend that answers the gateway's Close, which has a code and no reason


async def run(stage, crowd, arguments, report):
    """The scenario; results go to `report`."""
    stage.request_header_seconds = 60
    stage.drain_window_seconds = max(2, arguments.sessions // 400)
    stage.drain_deadline_seconds = ENDED_TIMEOUT_SECONDS
    before = stage.gateway.descriptor_count()
    soak = Soak(stage, crowd, arguments, report)
    await soak.reload()  # puts these into force
    await soak.live()
    await soak.drain()
    soak.judge_ends(report)
    soak.judge_leaks(before, report)
    soak.judge_counts(report)


class Soak:
    """`ends` has, by session number, how each ended; `quiet` are those whose every message was answered before."""

    def __init__(self, stage, crowd, arguments, report):
        self.stage, self.crowd, self.arguments, self.report = stage, crowd, arguments, report
        self.samples = Samples(stage.gateway)
        self.ends = {}
        self.quiet = set()
        self.reloads = self.kills = 0
        self.problems = []

    async def live(self):
        seconds = self.arguments.seconds
        await self.fill()
        begun = time.monotonic()
        while (now := time.monotonic()) < begun + seconds:
            past = (now - begun) / seconds
            await self.churn()
            if self.reloads < RELOADS * past:
                await self.reload()
            if self.kills < BACKEND_KILLS * past:
                await self.kill_backend()
            await self.fill()
            self.samples.take()
            await asyncio.sleep(max(0, now + seconds / TICKS - time.monotonic()))
        print(f"{len(self.crowd.sessions)} sessions, {self.reloads} reloads and {self.kills} kills of backends, in {seconds:.0f} s")

    def standing(self):
        return [session for session in self.crowd.sessions if session.number not in self.ends]

    async def fill(self):
        """As many sessions as there should be."""
        await self.crowd.open(self.arguments.sessions - len(self.standing()), self.entrance)

    def entrance(self, number):
        """The path tells sessions apart in the access log."""
        return dataclasses.replace(self.stage.entrance(number), path=f"/load/{number}")

    async def churn(self):
        """Some clients leave in order, some are gone, by a reset or by an end without a Close."""
        count = max(1, int(self.arguments.sessions * CHURN))
        chosen = random.sample(self.standing(), 2 * count)
        leaving, killed = chosen[:count], chosen[count:]
        for session in killed:
            self.ends[session.number] = KILLED
            kill(session)
        for session in leaving:
            self.ends[session.number] = CLOSED
            self.quiet.add(session.number)
        await asyncio.gather(*(session.finish(self.crowd.receiving[session.number]) for session in leaving))

    async def reload(self):
        self.reloads += 1
        done = sum(reload_counts(self.stage.gateway).values())
        self.stage.write(variant_of(self.reloads))
        self.stage.gateway.reload()
        if not await reload_is_counted(self.stage.gateway, done + 1):
            self.problems.append(f"reload {self.reloads} not within {RELOAD_TIMEOUT_SECONDS} s")

    async def kill_backend(self):
        """One of them, which then comes back at its address."""
        self.kills += 1
        name, program = random.choice(list(self.stage.backends.items()))
        orphans = [session for session in self.standing() if session.backend == name]
        for session in orphans:
            self.ends[session.number] = ORPHANED
            session.may_end_with = (BACKEND_LOST,)
        program.process.kill()
        await self.await_ends(orphans)
        await asyncio.sleep(BACKEND_AWAY_SECONDS)
        self.stage.start_backend(name, program.port)

    async def drain(self):
        """Half of the sessions have no message on its way when it begins."""
        sessions = self.standing()
        for session in sessions:
            self.ends[session.number] = DRAINED
            session.may_end_with = (SERVICE_RESTART,)
        await self.quieten(sessions[::2])
        begun = time.monotonic()
        asked = await asyncio.to_thread(self.stage.gateway.post, "/drain")
        await self.await_ends(sessions)
        await judge_sessions(self.stage.gateway, 0, "no session is left", self.report)
        print(f"drained {len(sessions)} sessions in {time.monotonic() - begun:.1f} s, {asked.strip()}")

    async def quieten(self, sessions):
        for session in sessions:
            session.is_quiet = True
        deadline = time.monotonic() + ENDED_TIMEOUT_SECONDS
        while time.monotonic() < deadline and any(session.received < session.sent for session in sessions):
            await asyncio.sleep(0.1)
        self.quiet |= {session.number for session in sessions}

    async def await_ends(self, sessions):
        deadline = time.monotonic() + ENDED_TIMEOUT_SECONDS + self.stage.drain_window_seconds
        while time.monotonic() < deadline and not all(session.ended_at for session in sessions):
            await asyncio.sleep(0.05)
        standing = sum(not session.ended_at for session in sessions)
        if standing:
            self.problems.append(f"{standing} of {len(sessions)} sessions did not end")

    def judge_ends(self, report):
        refused, failures = self.crowd.refused, self.failures()
        report.judge("every session opened", not refused, f"{len(refused)}, first {refused[:3]}")
        report.judge("each session ended as it should", not failures, f"{len(failures)}, first {failures[:3]}")
        report.judge("everything took place in time", not self.problems, self.problems)

    def failures(self):
        """Of a killed client nothing more is expected."""
        sound = (session for session in self.crowd.sessions if self.ends[session.number] != KILLED)
        return [f"session {one.number} {self.ends[one.number]}: {one.failure}" for one in sound if one.failure]

    def judge_leaks(self, before, report):
        gateway, begin = self.stage.gateway, int(len(self.samples.descriptors) * WARM_UP)
        memory, descriptors = self.samples.resident_kib[begin:], self.samples.descriptors[begin:]
        print(f"memory: {memory[0]} KiB after warm-up, {memory[-1]} at the end, {min(memory)} to {max(memory)}")
        print(f"descriptors: {before} without sessions, {descriptors[0]} after warm-up, {descriptors[-1]} at the end")
        grown = growth(memory)
        report.judge("memory is flat", grown <= self.arguments.memory_growth_kib, f"grew by {grown} KiB")
        lasting = statistics.median(descriptors)
        expected = before + 2 * self.arguments.sessions
        # An extra listener comes and goes; a client that was killed a moment ago may still have its two.
        report.judge("two descriptors a session", abs(lasting - expected) <= 8, f"{lasting}, not {expected}")
        after = gateway.descriptor_count()
        # The admin side may be in the middle of an answer.
        report.judge("no descriptor is left behind", after <= before + 4, f"{after}, {before} at first")
        for name in ("wsgate_sessions_active", "wsgate_backend_sessions_active", "wsgate_drain_sessions"):
            left = gateway.metrics().total(name)
            report.judge(f"{name} is 0", left == 0, left)

    def judge_counts(self, report):
        metrics, lines = self.stage.gateway.metrics(), self.lines()
        dropped = metrics.total("wsgate_access_log_dropped_lines_total")
        report.judge("a line for each session", not dropped and lines.keys() == self.ends.keys(),
            f"{len(lines)} lines, {len(self.ends)} sessions, {dropped} dropped")  # fmt: skip
        self.judge_closes(metrics, report)
        judge_totals(metrics, lines.values(), report)
        wrong = [problem for problem in map(self.problem, self.crowd.sessions, [lines] * len(self.crowd.sessions)) if problem]
        print(f"{len(self.quiet)} sessions are compared to the message and the byte, {len(self.ends) - len(self.quiet)} within bounds")
        report.judge("each session's counts are the generator's", not wrong, f"{len(wrong)}, first {wrong[:3]}")
        sent, received = self.crowd.sent(), self.crowd.received()
        print(f"{sent} messages sent, {received} echoed, the longest echo took {self.crowd.longest_echo_seconds():.3f} s")

    def lines(self):
        """The last line of each session in the access log, by the number in its path."""
        found = {}
        for text in self.stage.gateway.program.log_path.read_text(encoding="utf-8").splitlines():
            if '"event":"close"' in text:
                line = json.loads(text)
                found[int(line["path"].rsplit("/", 1)[1])] = line
        return found

    def judge_closes(self, metrics, report):
        counts = collections.Counter(self.ends.values())
        for initiator, reason in (CLOSED, KILLED, ORPHANED, DRAINED):
            counted = metrics.total("wsgate_sessions_closed_total", route="load", initiator=initiator, reason=reason)
            expected = counts[initiator, reason]
            case = f"{expected} sessions were ended by the {initiator}, {reason}"
            report.judge(case, counted == expected, f"the metrics have {counted}")
        counted = metrics.total("wsgate_sessions_closed_total", route="load")
        report.judge("none ended otherwise", counted == len(self.ends), f"{counted} of {len(self.ends)}")

    def problem(self, session, lines):
        """What the gateway counted otherwise than this session did."""
        line, end = lines.get(session.number), self.ends[session.number]
        if line is None:
            return f"session {session.number} has no line"
        have = [line[name] for name in ("messages_in", "messages_out", "bytes_in", "bytes_out")]
        if (line["close_initiator"], line["close_reason"]) != end:
            return f"session {session.number} {end}: {line}"
        if session.number in self.quiet:
            answer = BYTES_OF_CLOSE if end == DRAINED else 0
            wanted = [session.sent, session.received, session.bytes_sent, session.bytes_received + answer]
            is_right = have == wanted
        else:
            wanted = [session.sent, session.received, "or between, in this order"]
            is_right = session.sent >= have[0] >= have[1] >= session.received
        return "" if is_right else f"session {session.number} {end}: {have}, not {wanted}"


def judge_totals(metrics, lines, report):
    """The counters have all that the lines have."""
    for direction, suffix in (("client_to_backend", "in"), ("backend_to_client", "out")):
        for name in ("messages", "bytes"):
            counted = metrics.total(f"wsgate_{name}_total", route="load", direction=direction)
            expected = sum(line[f"{name}_{suffix}"] for line in lines)
            report.judge(f"{expected} {name} {direction}", counted == expected, f"the metrics have {counted}")


def kill(session):
    """Half of them reset the connection; the others end it without a Close."""
    session.fail("killed")
    if random.random() < 0.5:
        linger = struct.pack("ii", 1, 0)
        session.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    session.writer.transport.abort()
