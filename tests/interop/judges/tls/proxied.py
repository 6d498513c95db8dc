"""The PROXY protocol: believed from who is named, and from nobody else."""

import socket

import lib
from kit import Node, equal

CHECKS = lib.Checks()
HEADER = b"AMQP\0\0\x09\x01"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def line(source, port=4242):
    """Version 1."""
    return f"PROXY TCP4 {source} 127.0.0.1 {port} 5672\r\n".encode()


def binary(source, port=4242, command=0x21):
    """Version 2, with something more behind the addresses."""
    rest = socket.inet_aton(source) + socket.inet_aton("127.0.0.1")
    rest += port.to_bytes(2, "big") + (5672).to_bytes(2, "big") + b"\x04\x00\x01x"
    return SIGNATURE + bytes([command, 0x11]) + len(rest).to_bytes(2, "big") + rest


def short(text):
    """A text with its length in one byte."""
    return bytes([len(text)]) + text


def log_in(port, before):
    """What comes after a log-in as guest: the ids of a method, or nothing."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(6)
        reader = client.makefile("rb")

        def frame():
            head = reader.read(7)
            if len(head) < 7 or head[:1] != b"\x01":
                return b""
            return reader.read(int.from_bytes(head[3:7], "big") + 1)
        try:
            client.sendall(before + HEADER)
            if frame()[:4] != b"\0\x0a\0\x0a":
                return "closed"
            capabilities = short(b"authentication_failure_close") + b"t\x01"
            table = short(b"capabilities") + b"F" + len(capabilities).to_bytes(4, "big")
            table += capabilities
            response = b"\0guest\0guest"
            payload = b"\0\x0a\0\x0b" + len(table).to_bytes(4, "big") + table + short(b"PLAIN")
            payload += len(response).to_bytes(4, "big") + response + short(b"en_US")
            client.sendall(b"\x01\0\0" + len(payload).to_bytes(4, "big") + payload + b"\xce")
            return {b"\0\x0a\0\x1e": "in", b"\0\x0a\0\x32": "refused"}.get(frame()[:4], "closed")
        except (TimeoutError, ConnectionError):
            return "closed"


def whoami(port, before):
    """The status of a request as guest."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(6)
        client.sendall(before + b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close"
                       b"\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n")
        try:
            return client.recv(100)[9:12]
        except ConnectionError:
            return b""


def main():
    """From a named source, and from another one."""
    with Node("--proxy-protocol-from", "127.0.0.0/8") as node:
        for name, before, expected in (
                ("here", line("127.0.0.1"), "in"),
                ("here 2", binary("127.0.0.1"), "in"),
                ("itself", binary("192.0.2.1", command=0x20), "in"),
                ("from elsewhere", line("192.0.2.1"), "refused"),
                ("from elsewhere 2", binary("192.0.2.1"), "refused"),
                ("from nobody says", b"PROXY UNKNOWN\r\n", "refused"),
                ("no header", b"", "closed"),
                ("half a line", b"PROXY TCP4 127.0.0.1\r\n", "closed"),
                ("a long line", b"PROXY TCP4 " + b"1" * 200, "closed"),
                ("a long rest", SIGNATURE + b"\x21\x11\xff\xff", "closed"),
                ("two headers", line("127.0.0.1") + line("127.0.0.1"), "closed")):
            CHECKS.run(f"proxy {name}",
                       lambda before=before, expected=expected:
                       equal(log_in(node.port, before), expected))
        for name, before, expected in (("here", line("127.0.0.1"), b"200"),
                                       ("from elsewhere", line("192.0.2.1"), b"401"),
                                       ("no header", b"", b"")):
            CHECKS.run(f"proxy http {name}",
                       lambda before=before, expected=expected:
                       equal(whoami(node.http, before), expected))
        assert "panicked" not in node.log()
    with Node("--proxy-protocol-from", "192.0.2.0/24") as node:
        for name, before, expected in (("plain", b"", "in"), ("a header", line("127.0.0.1"), "closed"),
                                       ("a header 2", binary("127.0.0.1"), "closed")):
            CHECKS.run(f"proxy unnamed source, {name}",
                       lambda before=before, expected=expected:
                       equal(log_in(node.port, before), expected))
        CHECKS.run("proxy http unnamed source",
                   lambda: equal(whoami(node.http, line("127.0.0.1")), b"400"))
    CHECKS.finish()


if __name__ == "__main__":
    main()
