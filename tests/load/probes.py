"""Does what runs agree with the configuration that was last written? Each probe gives what is wrong, or nothing."""

import asyncio
import ssl

from rig.frames import CLOSE, masked_frame
from sessions import Entrance, Refused, open_session, unverified

PROBE_NUMBER = 0xFFFFFFFF


async def problems(stage, variant):
    """All that disagrees with `variant`."""
    found = [
        await entrance_problem("listener extra", Entrance(stage.extra_port, "/load"), variant.has_extra_listener),
        await entrance_problem("route extra", Entrance(stage.plain_port, "/extra"), variant.has_extra_route),
        await entrance_problem("listener secure", Entrance(stage.secure_port, "/load", is_tls=True), True),
        await certificate_problem(stage, variant),
    ]
    return [problem for problem in found if problem]


async def entrance_problem(name, entrance, is_expected):
    try:
        session = await open_session(PROBE_NUMBER, entrance)
    except Refused as reason:
        return f"{name}: {reason}" if is_expected else ""
    await leave(session)
    return "" if is_expected else f"{name} still takes sessions"


async def leave(session):
    session.writer.write(masked_frame(CLOSE, b"\x03\xe8"))
    try:
        async with asyncio.timeout(5):
            await session.reader.read()
    except (TimeoutError, OSError):
        pass
    session.writer.close()


async def certificate_problem(stage, variant):
    _, writer = await asyncio.open_connection("127.0.0.1", stage.secure_port, ssl=unverified())
    served = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    text = stage.certificates[variant.certificate].certificate.read_text(encoding="ascii")
    return "" if served == ssl.PEM_cert_to_DER_cert(text) else "the listener serves the other certificate"
