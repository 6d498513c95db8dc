"""TLS: clients, certificates of clients, files that change, and peers that do not behave."""

import asyncio
import http.client
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import aio_pika
import lib
import pika
from cryptography.x509.oid import NameOID
from kit import Authority, Node, connect, equal, refused, round_trip

HERE = pathlib.Path(__file__).resolve().parent
CHECKS = lib.Checks()
CA, OTHER = Authority(), Authority("stranger")
PORTS = [lib.free_port() for _ in range(2)]
TLS_FLAGS = ["--tls-cert", CA.folder / "server.pem", "--tls-key", CA.folder / "server.key"]
CLIENT_FLAGS = ["--tls-client-ca", CA.pem, "--tls-client-auth", "request",
                "--tls-login-from", "common_name"]
DENIED = (pika.exceptions.ProbableAuthenticationError, pika.exceptions.AMQPConnectionError,
          ssl.SSLError, ConnectionError)


def context(identity=None, authority=CA):
    """What a client believes, and shows."""
    made = ssl.create_default_context(cafile=str(authority.pem))
    if identity:
        made.load_cert_chain(*identity)
    return made


def over(port, identity=None, authority=CA, credentials=None):
    """A pika connection over TLS."""
    options = pika.SSLOptions(context(identity, authority), "localhost")
    return connect(port, credentials, ssl_options=options)


def external(port, identity=None):
    """The same, logged in with the certificate."""
    return over(port, identity, credentials=pika.credentials.ExternalCredentials())


def sealed(port, **options):
    """A TLS socket, and what it speaks."""
    made = context()
    for name, value in options.items():
        setattr(made, name, value)
    return made.wrap_socket(socket.create_connection(("127.0.0.1", port), 5),
                            server_hostname="localhost")


def with_pika(port):
    """Small and large messages."""
    with over(port) as connection:
        for size in (0, 10, 20_000, 2_000_000):
            round_trip(connection, os.urandom(size))


def with_aio_pika(port):
    """Many confirms at once."""
    async def talk():
        url = f"amqps://guest:guest@localhost:{port}/"
        async with await aio_pika.connect(url, ssl_context=context()) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("", exclusive=True)
            await asyncio.gather(*(channel.default_exchange.publish(
                aio_pika.Message(b"%d" % number), queue.name) for number in range(1000)))
            async with queue.iterator(no_ack=True) as messages:
                for number in range(1000):
                    equal((await anext(messages)).body, b"%d" % number)
    asyncio.run(talk())


def with_amqplib(port):
    """amqplib, on Node.js."""
    done = subprocess.run(["node", HERE / "amqplib.js", str(port), CA.pem], text=True, timeout=30,
                          capture_output=True)
    equal((done.stdout.strip(), done.stderr), ("ok", ""))


def https(port):
    """The management API over TLS."""
    link = http.client.HTTPSConnection("localhost", port, timeout=5, context=context())
    link.request("GET", "/api/whoami", headers={"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="})
    answer = link.getresponse()
    equal((answer.status, b'"guest"' in answer.read()), (200, True))


def by_certificate(port):
    """EXTERNAL, for who is known; nobody else gets in, with or without a certificate."""
    guest, stranger = CA.issue("guest"), CA.issue("nobody-we-know")
    with external(port, guest) as connection:
        round_trip(connection)
    for identity in (stranger, None):
        refused(DENIED, lambda identity=identity: external(port, identity))
    double = CA.issue("double", [(NameOID.COMMON_NAME, "guest"), (NameOID.COMMON_NAME, "x")])
    refused(DENIED, lambda: external(port, double))


def unverified(port):
    """A certificate that does not verify is worse than none."""
    with over(port) as connection:
        round_trip(connection)
    for identity in (OTHER.issue("guest"), CA.issue("guest-late", expired=True),
                     CA.issue("guest-server", server=True)):
        refused(DENIED, lambda identity=identity: over(port, identity))


def plain_offers_no_external(port):
    """On a plain socket there is nothing to log in with."""
    refused(pika.exceptions.AMQPConnectionError,
            lambda: connect(port, pika.credentials.ExternalCredentials()))


def wrong_authority(port):
    """A client that does not trust ours goes, and does no harm."""
    refused(DENIED, lambda: over(port, authority=OTHER))


def only_new_versions(port):
    """TLS 1.0 and 1.1 are not spoken, 1.2 and 1.3 are."""
    for version, spoken in (("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True),
                            ("TLSv1_3", True)):
        option = f"-{version.lower().replace('v', '')}"
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", option, "-CAfile", CA.pem,
             "-cipher", "ALL:@SECLEVEL=0"],
            input=b"", capture_output=True, timeout=10)
        equal((version, b"Verify return code: 0" in done.stdout and b"Cipher is (NONE)" not in
               done.stdout), (version, spoken))


def weak_ciphers(port):
    """Nothing without forward secrecy or authentication of its own."""
    for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
                   "aNULL", "DHE-RSA-AES128-GCM-SHA256"):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-cipher",
             f"{cipher}:@SECLEVEL=0"], input=b"", capture_output=True, timeout=10)
        assert done.returncode != 0, cipher


def renegotiation_and_key_updates(port):
    """openssl's R is refused, its K is answered."""
    for version, key, answered in (("-tls1_2", "R", False), ("-tls1_3", "K", True)):
        script = f"""(echo {key}; sleep 0.5; echo AMQPxxxx; sleep 0.5) |
            openssl s_client -connect 127.0.0.1:{port} {version}"""
        said = subprocess.run(["bash", "-c", script], capture_output=True, timeout=10).stdout
        equal((key, b"AMQP\0\0\x09\x01" in said), (key, answered))


def plain_bytes(port):
    """A plain client at the door with TLS."""
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        plain.sendall(b"AMQP\0\0\x09\x01")
        plain.settimeout(3)
        said = b""
        try:
            while part := plain.recv(100):
                said += part
        except ConnectionError:
            pass
        assert not said.startswith(b"\x01"), said


def half_handshakes(port):
    """Two hundred that stop in the middle end in time; others are served meanwhile."""
    began, halves = time.monotonic(), []
    for _ in range(200):
        half = socket.create_connection(("127.0.0.1", port), 5)
        half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        halves.append(half)
    with over(port) as connection:
        round_trip(connection)
    assert time.monotonic() - began < 4
    for half in halves:
        half.settimeout(10)
        try:
            while half.recv(100):
                pass
        except ConnectionError:
            pass
    assert time.monotonic() - began < 9, "they were waited for too long"


def byte_by_byte(port):
    """A slow client that does get through."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), 5) as wire:
        def turn(call):
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        wire.sendall(bytes([byte]))
                    incoming.write(wire.recv(4096))
        turn(tls.do_handshake)
        tls.write(b"AMQP\0\0\x09\x01")
        for byte in outgoing.read():
            wire.sendall(bytes([byte]))
        equal(turn(lambda: tls.read(1)), b"\x01")


def cut_in_the_middle(port):
    """A socket that is cut without a word ends its connection, and is noticed."""
    wire = sealed(port)
    wire.sendall(b"AMQP\0\0\x09\x01")
    wire.recv(1)
    raw = wire.detach()
    os.close(raw)


def garbage_after_handshake(port):
    """A record that was tampered with is answered by an alert and the end."""
    wire = sealed(port, maximum_version=ssl.TLSVersion.TLSv1_2)
    raw = socket.socket(fileno=os.dup(wire.fileno()))
    raw.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
    raw.settimeout(5)
    assert raw.recv(5)[:1] == b"\x15", "an alert"


def reload(node, port):
    """SIGHUP: a broken file keeps the old one, a sound one replaces it; connections stay."""
    def serial():
        with sealed(port) as wire:
            return wire.getpeercert()["serialNumber"]
    first = serial()
    with over(port) as connection:
        server = CA.folder / "server.pem"
        server.write_text("nothing")
        os.kill(node.process.pid, signal.SIGHUP)
        node.wait_log("certificates for TLS stay as they were")
        equal(serial(), first)
        CA.issue("server", server=True)
        os.kill(node.process.pid, signal.SIGHUP)
        node.wait_log("certificates for TLS were read again")
        assert serial() != first
        round_trip(connection)


def key_of_others():
    """A key that all may read is warned of."""
    os.chmod(CA.folder / "server.key", 0o644)
    with Node("--amqps", f"127.0.0.1:{lib.free_port()}", *TLS_FLAGS) as node:
        node.wait_log("can be read by others")
    os.chmod(CA.folder / "server.key", 0o600)


def required():
    """Where a certificate is required nobody gets in without, and the whole name may log in."""
    port = lib.free_port()
    flags = ["--tls-client-ca", CA.pem, "--tls-client-auth", "require"]
    with Node("--amqps", f"127.0.0.1:{port}", *TLS_FLAGS, *flags) as node:
        refused(DENIED, lambda: over(port))
        subject = [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "A, B"),
                   (NameOID.COMMON_NAME, "c#1")]
        identity = CA.issue("dn", subject)
        refused(DENIED, lambda: external(port, identity))
        node.wait_log("CN=c#1,O=A" + 4 * "\\" + ", B,C=DE")
        with over(port, identity) as connection:
            round_trip(connection)


def main():
    """All of it, on one node where that is possible."""
    amqps, secure = PORTS
    with Node("--amqps", f"127.0.0.1:{amqps}", "--https", f"127.0.0.1:{secure}",
              *TLS_FLAGS, *CLIENT_FLAGS) as node:
        for check in (with_pika, with_aio_pika, with_amqplib, by_certificate, unverified,
                      wrong_authority, only_new_versions, weak_ciphers,
                      renegotiation_and_key_updates, plain_bytes, byte_by_byte, cut_in_the_middle,
                      garbage_after_handshake, half_handshakes):
            CHECKS.run(f"tls {check.__name__}", lambda check=check: check(amqps))
        CHECKS.run("tls https", lambda: https(secure))
        CHECKS.run("tls plain_offers_no_external", lambda: plain_offers_no_external(node.port))
        CHECKS.run("tls reload", lambda: reload(node, amqps))
        assert "panicked" not in node.log()
    CHECKS.run("tls key_of_others", key_of_others)
    CHECKS.run("tls required", required)
    CHECKS.finish()


if __name__ == "__main__":
    main()
