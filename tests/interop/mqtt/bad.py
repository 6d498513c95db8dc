#!/usr/bin/env python3
"""Malformed packets and protocol errors, with a canary beside: each is refused as specified.

    bad.py [HOST:PORT] [WORD...]     all rows of `bad_packets.py`, or those with a word in the name

After each row the canary, a client of its own, publishes to itself within CANARY_S_MAX (1 s).
Then memory: SOCKETS (1000) half CONNECT packets, each of which says that it has 256 MB, and some
in frames of a WebSocket that say they have 2^62 bytes.
"""

import os
import sys
import time

import bad_packets
import lib
import packets as p
import stage
import web
from bad_known import KNOWN
from peer import Client, Gone, Peer

CANARY_S_MAX = float(os.environ.get("CANARY_S_MAX", "1"))
SOCKETS = int(os.environ.get("SOCKETS", "1000"))
# What all of them may cost.
MEMORY_BYTES_MAX = 48 << 20
# A CONNECT that says it has 256 MB, of which some KiB come: its client identifier has no end.
HALF = (b"\x10" + p.varint((1 << 28) - 1) + p.text("MQTT") + b"\x05\x02\0\0\0" + b"\xff\xff"
        + b"a" * 4096)
CONNECT_S_MAX = 14
BROKER = stage.BROKER


class Canary:
    """A client that must not notice anything."""

    def __init__(self):
        self.client, self.count, self.worst = Client("canary", keep_alive=0), 0, 0.0
        self.client.subscribe("canary/#")

    def check(self):
        """One message there and back."""
        self.count += 1
        began, wanted = time.monotonic(), b"%d" % self.count
        self.client.publish("canary/sings", wanted, 1)
        got = self.client.wait(1, CANARY_S_MAX)
        assert [m.payload for m in got] == [wanted], got
        self.client.messages.clear()
        self.worst = max(self.worst, time.monotonic() - began)
        assert self.worst < CANARY_S_MAX, f"the canary waited for {self.worst:.2f} s"


def said(packet):
    """A packet in a few words."""
    if packet is None:
        return "nothing"
    code = getattr(packet, "code", None) if packet.kind != p.SUBACK else packet.codes
    return packet.name + (f" {code:#x}" if isinstance(code, int) else f" {code}")


def refused_first(row, version, seconds):
    """Bytes that come first: CONNACK with a code, or the end."""
    with Peer(version) as client:
        client.send(row.make(version))
        last = client.ending(seconds)
    if version == p.V5 and row.codes and last is not None and last.kind == p.CONNACK:
        # A server that can not serve the version may answer in the words of 3.1.1.
        assert last.code in row.codes, said(last)
    elif version == p.V4 and last is not None:
        assert last.kind == p.CONNACK and last.code in row.v4_code, said(last)
    else:
        assert last is None and (row.silent or version == p.V4 and not row.v4_code), said(last)


def refused_later(row, version, seconds):
    """Bytes on a connection: DISCONNECT with a code and the end, or just the end in 3.1.1."""
    client_id = f"bad-{version}-{row.name}"
    with Client(client_id, version, keep_alive=0) as client:
        client.send(row.make(version))
        if row.suback:
            try:
                answer = client.expect(p.SUBACK, seconds)
            except (Gone, AssertionError):
                pass
            else:
                assert answer.codes[0] in (0x8F, 0x80, 0x87), said(answer)
                client.sync()
                return
            with Client(client_id, version, keep_alive=0) as again:
                again.send(row.make(version))
                last = again.ending(seconds)
        else:
            last = client.ending(seconds)
    if version == p.V5:
        assert last is not None and last.kind == p.DISCONNECT, said(last)
        assert last.code in row.codes, said(last)
    else:
        assert last is None, said(last)


def rows(canary, known):
    """Plays the table; gives results as `stage.report` wants them."""
    asked = stage.words()
    for row in bad_packets.ROWS:
        for version in row.versions:
            name = f"{row.name}/{version}"
            if asked and not any(word in name + row.statement for word in asked):
                continue
            began, error = time.monotonic(), None
            try:
                play = refused_first if row.first else refused_later
                play(row, version, 0.5 if name in known else 5)
                canary.check()
            except Exception as problem:  # every way to fail is reported
                error = problem
            yield name, error, row.statement, time.monotonic() - began


def rss_bytes(pid):
    """Resident memory of a process and its children."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) << 10


def many_sockets(canary, count, make, data):
    """Sockets that announce much and send little: no memory for what is only announced."""
    broker = lib.Broker.attach(os.environ["BROKER_DIR"])
    before, sockets = rss_bytes(broker.pid), []
    try:
        for number in range(count):
            sockets.append(make())
            try:
                Peer.send(sockets[-1], data)
            except Gone:
                pass
            if number % 100 == 0:
                canary.check()
        time.sleep(0.5)
        canary.check()
        grown = rss_bytes(broker.pid) - before
        assert grown < MEMORY_BYTES_MAX, f"{grown >> 20} MiB for {count} sockets"
    finally:
        for client in sockets:
            client.cut()
    canary.check()
    return f"{grown / (1 << 20):.1f} MiB for {count} sockets"


def half_connects(canary):
    """CONNECT packets of 256 MB, of which some KiB come."""
    return many_sockets(canary, SOCKETS, Peer, HALF)


def huge_frames(canary):
    """A tenth as many in WebSocket frames of 2^62 bytes."""
    return many_sockets(canary, SOCKETS // 10, web.Web,
                        web.frame(HALF, length=1 << 62))


class Silent:
    """A socket that says nothing and one that stops in the middle of CONNECT: both are closed."""

    def __init__(self):
        self.began, self.peers = time.monotonic(), [Peer(), Peer()]
        self.peers[1].send(p.connect("slow", user="guest", password="guest")[:9])

    def check(self):
        """Waits for their end."""
        for client in self.peers:
            client.ending(max(0.1, CONNECT_S_MAX - (time.monotonic() - self.began)))
        return f"after at most {time.monotonic() - self.began:.1f} s"


def alone(name, check):
    """One check of its own as a result."""
    began, error, note = time.monotonic(), None, ""
    try:
        note = check() or ""
    except Exception as problem:  # every way to fail is reported
        error = problem
    return name, error, note, time.monotonic() - began


def main():
    """Rows, then what is left."""
    silent, canary, known = Silent(), Canary(), KNOWN.get(BROKER, ())
    totals = stage.report(rows(canary, known), known)
    more = []
    if not stage.words():
        if "BROKER_DIR" in os.environ:
            more.append(alone("half-connects", lambda: half_connects(canary)))
            if web.URL.hostname:
                more.append(alone("huge-frames", lambda: huge_frames(canary)))
        if BROKER == "ferrymq":
            more.append(alone("silent-sockets", silent.check))
        more.append(alone("canary", lambda: f"waited for {canary.worst * 1000:.0f} ms at most"))
    extra = stage.report(more, known)
    print(f"{totals[0] + extra[0]} passed, {totals[1] + extra[1]} failed")
    return totals[1] + extra[1] != 0


if __name__ == "__main__":
    sys.exit(main())
