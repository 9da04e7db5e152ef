"""Sessions exchange messages while SIGHUP comes again and again with a changed file."""

import asyncio
import statistics
import time

import probes
from stage import Variant

RELOAD_TIMEOUT_SECONDS = 5
WINDOW = 5  # samples whose median is compared


def variant_of(generation):
    """Each differs from the one before it."""
    return Variant(
        has_extra_route=generation % 2 == 1,
        has_extra_listener=generation % 4 in (1, 2),
        weight_of_b=1 + generation % 3,
        certificate=(generation // 2) % 2,
    )


class Samples:
    """What wsgate held of memory and descriptors, second by second, with all sessions open."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.resident_kib = []
        self.descriptors = []

    def take(self):
        self.resident_kib.append(self.gateway.resident_kib())
        self.descriptors.append(self.gateway.descriptor_count())


def growth(values):
    """From the median of the first samples to that of the last."""
    return statistics.median(values[-WINDOW:]) - statistics.median(values[:WINDOW])


async def run(stage, crowd, arguments, report):
    """The scenario; results go to `report`."""
    gateway = stage.gateway
    opened = time.monotonic()
    await crowd.open(arguments.sessions, stage.entrance)
    print(f"{len(crowd.sessions)} sessions in {time.monotonic() - opened:.1f} s, by backend {crowd.by_backend()}")
    report.judge("every session opened", not crowd.refused, f"{len(crowd.refused)}, first {crowd.refused[:3]}")
    report.judge("round robin is even", is_even(crowd.by_backend()), crowd.by_backend())

    before = reload_counts(gateway)
    # Warm up, with the same reloads that are measured after it.
    warm_up = await reload_repeatedly(stage, arguments, range(1, 1 + arguments.warm_up), Samples(gateway))
    samples = Samples(gateway)
    last = 1 + arguments.warm_up + arguments.reloads
    problems = warm_up + await reload_repeatedly(stage, arguments, range(1 + arguments.warm_up, last), samples)
    report.judge("each configuration took effect", not problems, f"{len(problems)}, first {problems[:3]}")

    judge_gateway(gateway, crowd, samples, arguments, report)
    judge_reloads(before, reload_counts(gateway), last - 1, report)
    await judge_sessions(gateway, len(crowd.standing()), "sessions_active is the generator's count", report)


async def reload_repeatedly(stage, arguments, generations, samples):
    """One reload per interval; the problems that the probes found."""
    problems = []
    for generation in generations:
        next_at = time.monotonic() + arguments.interval
        variant = variant_of(generation)
        done = sum(reload_counts(stage.gateway).values())
        stage.write(variant)
        stage.gateway.reload()
        if await reload_is_counted(stage.gateway, done + 1):
            problems += [f"generation {generation}: {text}" for text in await probes.problems(stage, variant)]
        else:
            problems.append(f"generation {generation}: no reload within {RELOAD_TIMEOUT_SECONDS} s")
        await asyncio.sleep(max(0, next_at - time.monotonic()))
        samples.take()
    return problems


async def reload_is_counted(gateway, count):
    deadline = time.monotonic() + RELOAD_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if sum((await asyncio.to_thread(reload_counts, gateway)).values()) >= count:
            return True
        await asyncio.sleep(0.02)
    return False


def reload_counts(gateway):
    metrics = gateway.metrics()
    results = ("success", "failure", "noop")
    return {result: metrics.total("wsgate_config_reloads_total", result=result) or 0 for result in results}


def judge_reloads(before, after, signal_count, report):
    counted = {result: int(after[result] - before[result]) for result in after}
    expected = {"success": signal_count, "failure": 0, "noop": 0}
    print(f"{signal_count} SIGHUP, counted as {counted}")
    report.judge("config_reloads_total is the number of SIGHUP", counted == expected, f"{counted}")


def judge_gateway(gateway, crowd, samples, arguments, report):
    memory, descriptors = samples.resident_kib, samples.descriptors
    print(f"memory: {memory[0]} KiB after warm-up, {memory[-1]} at the end, {min(memory)} to {max(memory)}")
    print(f"descriptors: {descriptors[0]} after warm-up, {descriptors[-1]} at the end")
    memory_growth, descriptor_growth = growth(memory), growth(descriptors)
    report.judge("memory is flat", memory_growth <= arguments.memory_growth_kib, f"grew by {memory_growth} KiB")
    report.judge("descriptors are flat", abs(descriptor_growth) <= 4, f"grew by {descriptor_growth}")
    report.judge("wsgate still runs", gateway.program.is_running(), "it ended")
    report.judge("no session dropped", not crowd.failures(), f"{len(crowd.failures())}, first {crowd.failures()[:3]}")


async def judge_sessions(gateway, expected, case, report):
    """Probes end a moment after they closed, so this waits for the number."""
    deadline = time.monotonic() + 60
    while True:
        active = gateway.metrics().total("wsgate_sessions_active")
        if active == expected or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    report.judge(case, active == expected, f"{active}, not {expected}")


def is_even(by_backend):
    return len(by_backend) > 1 and max(by_backend.values()) - min(by_backend.values()) <= 1
