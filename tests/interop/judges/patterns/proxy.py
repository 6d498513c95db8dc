"""A TCP proxy before the broker, in a thread of its own: what passes through it may have bad luck.

`Lossy` is a network that loses packets: a piece of at most 1,460 bytes is lost with a chance of 5 %
and sent again 200 ms later, and all that follows it in that direction waits as well, as with TCP.
A connection is reset at a random moment.
"""

import asyncio
import socket
import struct
import threading

PACKET_BYTES, LOST_CHANCE, AGAIN_S = 1460, 0.05, 0.2
RESET = struct.pack("ii", 1, 0)


def reset(writer):
    """The connection ends with a reset."""
    link = writer.get_extra_info("socket")
    if link is not None and link.fileno() >= 0:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class Lossy:
    """Bad luck, drawn from a seed; counts what it did."""

    def __init__(self, draw, life_s):
        self.draw, self.life_s = draw, life_s
        self.packets = self.lost = self.resets = 0

    async def copy(self, reader, writer, _from_client):
        """One direction of one connection."""
        while data := await reader.read(PACKET_BYTES):
            self.packets += 1
            if self.draw.random() < LOST_CHANCE:
                self.lost += 1
                await asyncio.sleep(AGAIN_S)
            writer.write(data)
            await writer.drain()

    async def end(self):
        """Returns when it is time for a reset."""
        await asyncio.sleep(self.draw.expovariate(1 / self.life_s))
        self.resets += 1


class Proxy(threading.Thread):
    """Listens on `port`; `luck` copies the bytes, and says when a connection must end."""

    def __init__(self, to_port, luck):
        super().__init__(daemon=True)
        self.to_port, self.luck = to_port, luck
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        """For as long as the program lives."""
        asyncio.run(self.serve())

    async def serve(self):
        """All connections."""
        server = await asyncio.start_server(self.connection, sock=self.listener)
        async with server:
            await server.serve_forever()

    async def connection(self, reader, writer):
        """One connection, until one side or bad luck ends it."""
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            reset(writer)
            return
        tasks = [asyncio.ensure_future(work) for work in (
            self.luck.copy(reader, back, True), self.luck.copy(there, writer, False),
            self.luck.end())]
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for side in (writer, back):
            reset(side)
