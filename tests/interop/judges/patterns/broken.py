"""A broker that is broken in one way, to try whether the judge sees it: a proxy that alters frames.

    broken.py HOW PORT      prints the port it listens on; ends with its standard input

`BROKEN=HOW tests/interop/run patterns` puts it before the broker; then checks must fail:

| HOW | what happens now and then | who must see it |
|---|---|---|
| lose | a delivery is swallowed | all but those where a lease or a reset brings it again |
| repeat | a delivery has the body of the one before, whoever got that | all |
| swap | two deliveries change places | levelling, services, backlog, acks, network |
| unmark | redeliveries are not marked | receivers, replacement, services, backlog, acks, network |
| uncount | the header of a redelivery has another name | acks |
| alter | the last byte of a body is another one | all |
| refuse | a confirm is a nack | all but acks, which needs few of them |
| block | a publisher hears `connection.blocked` | levelling, replacement, network, backlog |
| hush | a returned publish does not come back | receivers (who is late is not told) |
"""

import asyncio
import struct
import sys

from crash_loop import amqp
from proxy import Proxy

DELIVER, GET_OK, RETURN = b"\0\x3c\0\x3c", b"\0\x3c\0\x47", b"\0\x3c\0\x32"
ACK, NACK = b"\0\x3c\0\x50", b"\0\x3c\0\x78"
EVERY = 61


class Altered:
    """Copies frames of the broker, some of them altered."""

    def __init__(self, how):
        self.how, self.count, self.last_body = how, 0, b""

    async def end(self):
        """Connections are not cut."""
        await asyncio.Event().wait()

    async def copy(self, reader, writer, from_client):
        """One direction of one connection."""
        buffer, message = b"", []
        while data := await reader.read(1 << 16):
            if from_client:
                writer.write(data)
                await writer.drain()
                continue
            buffer, out = buffer + data, []
            while len(buffer) >= 7 and len(buffer) >= (size := 8 + struct.unpack_from(
                    ">I", buffer, 3)[0]):
                message.append(buffer[:size])
                buffer = buffer[size:]
                if self.is_whole(message):
                    out.append(message)
                    message = []
            writer.write(b"".join(frame for one in self.altered(out) for frame in one))
            await writer.drain()

    @staticmethod
    def is_whole(frames):
        """Whether these are a method and all of its content."""
        if frames[0][0] != 1 or frames[0][7:11] not in (DELIVER, GET_OK, RETURN):
            return True
        if len(frames) < 2:
            return False
        return sum(len(frame) - 8 for frame in frames[2:]) >= struct.unpack_from(
            ">Q", frames[1], 11)[0]

    def altered(self, messages):
        """The same, but for what is broken."""
        out = []
        for frames in messages:
            method = frames[0][7:11] if frames[0][0] == 1 else b""
            self.count += method in (DELIVER, GET_OK, ACK)
            is_turn = self.count % EVERY == 0
            if method in (DELIVER, GET_OK):
                frames = self.delivery(frames, is_turn)
                if self.how == "swap" and is_turn and out and out[-1][0][7:11] == method:
                    out.insert(len(out) - 1, frames)
                    continue
            elif method == ACK and is_turn and self.how == "refuse":
                frames = [frames[0][:7] + NACK + frames[0][11:]]
            elif method == ACK and is_turn and self.how == "block":
                frames = [amqp.frame(1, 0, amqp.method("connection.blocked", reason="x")), *frames]
            elif method == RETURN and self.how == "hush":
                frames = []
            out.append(frames)
        return out

    def delivery(self, frames, is_turn):
        """One delivery."""
        method, header, *body = frames
        if self.how == "unmark":
            place = 11 + (1 + method[11] if method[7:11] == DELIVER else 0) + 8
            method = method[:place] + b"\0" + method[place + 1:]
        elif self.how == "uncount":
            header = header.replace(b"x-delivery-count", b"x-delivery-other")
        elif self.how == "lose" and is_turn:
            return []
        elif self.how == "repeat" and is_turn and len(body) == 1 and (
                len(self.last_body) == len(body[0])):
            body = [body[0][:7] + self.last_body[7:]]
        elif self.how == "alter" and is_turn and body:
            body[-1] = body[-1][:-2] + bytes([body[-1][-2] ^ 1]) + body[-1][-1:]
        self.last_body = body[0] if len(body) == 1 else b""
        return [method, header, *body]


def main():
    """Until nobody is there any more."""
    print(Proxy(int(sys.argv[2]), Altered(sys.argv[1])).port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
