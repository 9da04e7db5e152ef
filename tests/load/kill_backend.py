"""A backend is killed under load: its sessions end, all others go on, new ones go elsewhere, and it may come back."""

import asyncio
import time

from reload import judge_sessions

VICTIM = "b"
ENDED_WITHIN_SECONDS = 2


async def run(stage, crowd, arguments, report):
    """The scenario; results go to `report`."""
    await crowd.open(arguments.sessions, stage.entrance)
    print(f"{len(crowd.sessions)} sessions, by backend {crowd.by_backend()}")
    report.judge("every session opened", not crowd.refused, f"{len(crowd.refused)}, first {crowd.refused[:3]}")
    await asyncio.sleep(arguments.warm_up)

    victims = [session for session in crowd.sessions if session.backend == VICTIM]
    port = stage.backends[VICTIM].port
    stage.backends[VICTIM].process.kill()
    await judge_ends(crowd, victims, report)
    crowd.sessions = [session for session in crowd.sessions if session not in victims]

    newcomers = await crowd.open(len(victims), stage.entrance)
    places = {session.backend for session in newcomers}
    report.judge("new sessions go elsewhere", len(newcomers) == len(victims) and VICTIM not in places,
        f"{len(newcomers)} of {len(victims)}, on {places}")  # fmt: skip
    await asyncio.sleep(arguments.warm_up)
    survivors_failed = crowd.failures()
    report.judge("no other session dropped", not survivors_failed, survivors_failed[:3])
    await judge_sessions(stage.gateway, len(crowd.standing()), "sessions_active is the generator's count", report)

    stage.start_backend(VICTIM, port)
    await judge_return(stage, crowd, report)


async def judge_ends(crowd, victims, report):
    killed_at = time.monotonic()
    while time.monotonic() < killed_at + 10 and not all(session.ended_at for session in victims):
        await asyncio.sleep(0.05)
    standing = sum(not session.ended_at for session in victims)
    longest = max((session.ended_at - killed_at for session in victims), default=0)
    print(f"{len(victims)} sessions of the killed backend, the last ended after {longest:.2f} s")
    report.judge("its sessions end", standing == 0, f"{standing} still stand after 10 s")
    report.judge(f"and within {ENDED_WITHIN_SECONDS} s", longest <= ENDED_WITHIN_SECONDS, f"{longest:.2f} s")


async def judge_return(stage, crowd, report):
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        newcomers = await crowd.open(3, stage.entrance)
        if any(session.backend == VICTIM for session in newcomers):
            break
        await asyncio.sleep(0.5)
    report.judge("once it is back it gets sessions", crowd.by_backend().get(VICTIM, 0) > 0, crowd.by_backend())
