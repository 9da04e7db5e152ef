"""One of four backends is killed while sessions open: no handshake fails, its own sessions end, all others go on. It comes
back, and has its share again."""

import asyncio
import time

from reload import judge_sessions
from sessions import by_backend

VICTIM = "b"
ENDED_WITHIN_SECONDS = 2
# It was ejected for 30 s, and is tried then.
RETURNED_WITHIN_SECONDS = 60


async def run(stage, crowd, arguments, report):
    """The scenario; results go to `report`."""
    some = max(arguments.sessions // 8, 4)
    judge_shares("each backend has its share", await crowd.open(4 * some, stage.entrance), report)
    await asyncio.sleep(arguments.warm_up)

    port = stage.backends[VICTIM].port
    killed_at = await kill_among_arrivals(stage, crowd, 2 * some)
    victims = [session for session in crowd.sessions if session.backend == VICTIM]
    await judge_ends(victims, killed_at, report)
    crowd.sessions = [session for session in crowd.sessions if session.backend != VICTIM]

    newcomers = by_backend(await crowd.open(some, stage.entrance))
    report.judge("new sessions go elsewhere", VICTIM not in newcomers, newcomers)
    report.judge("no opening handshake fails", not crowd.refused, f"{len(crowd.refused)}, first {crowd.refused[:3]}")
    await asyncio.sleep(arguments.warm_up)
    survivors_failed = crowd.failures()
    report.judge("no other session dropped", not survivors_failed, survivors_failed[:3])
    await judge_sessions(stage.gateway, len(crowd.standing()), "sessions_active is the generator's count", report)

    stage.start_backend(VICTIM, port)
    await judge_return(stage, crowd, report)
    # The turn was one among three until now: where it stands can give one backend the place of another once.
    judge_shares("and they are its share", await crowd.open(some // 4 * 4, stage.entrance), report, spread=2)
    report.judge("no opening handshake fails to the end", not crowd.refused, crowd.refused[:3])


async def kill_among_arrivals(stage, crowd, count):
    """Handshakes are under way on it, and others on their way to it. When it was killed."""
    wanted = len(crowd.sessions) + count // 2
    arriving = asyncio.create_task(crowd.open(count, stage.entrance))
    while len(crowd.sessions) < wanted and not arriving.done():
        await asyncio.sleep(0.001)
    stage.backends[VICTIM].process.kill()
    killed_at = time.monotonic()
    arrived = await arriving
    print(f"{len(arrived)} sessions opened while {VICTIM} was killed, by backend {by_backend(arrived)}")
    return killed_at


async def judge_ends(victims, killed_at, report):
    while time.monotonic() < killed_at + 10 and not all(session.ended_at for session in victims):
        await asyncio.sleep(0.05)
    standing = sum(not session.ended_at for session in victims)
    longest = max((session.ended_at - killed_at for session in victims), default=0)
    print(f"{len(victims)} sessions of the killed backend, the last ended after {longest:.2f} s")
    report.judge("its sessions end", standing == 0, f"{standing} still stand after 10 s")
    report.judge(f"and within {ENDED_WITHIN_SECONDS} s", longest <= ENDED_WITHIN_SECONDS, f"{longest:.2f} s")


async def judge_return(stage, crowd, report):
    newcomers = []
    deadline = time.monotonic() + RETURNED_WITHIN_SECONDS
    while VICTIM not in by_backend(newcomers) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        newcomers += await crowd.open(3, stage.entrance)
    report.judge("once it is back it gets sessions", VICTIM in by_backend(newcomers), by_backend(newcomers))


def judge_shares(case, sessions, report, spread=1):
    """In turn: the most and the fewest are no further apart than `spread`, which is where the turn stood."""
    shares = by_backend(sessions)
    print(f"{len(sessions)} sessions, by backend {shares}")
    counts = shares.values()
    report.judge(case, len(shares) == 4 and max(counts) - min(counts) <= spread, shares)
