"""What the programs of this judge share: an authority, certificates, and brokers with more flags."""

import datetime
import ipaddress
import pathlib
import tempfile
import time

import lib
import pika
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def equal(found, wanted):
    """Raises unless both are the same."""
    assert found == wanted, f"found {found!r:.300}, wanted {wanted!r:.300}"


def refused(kind, call):
    """Raises unless the call raises that."""
    try:
        result = call()
    except kind as error:
        return error
    raise AssertionError(f"it was let in: {result!r:.100}")


class Authority:
    """Signs certificates, and writes them into a folder of its own."""

    def __init__(self, name="authority"):
        self.temporary = tempfile.TemporaryDirectory(prefix="tls-")
        self.folder = pathlib.Path(self.temporary.name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY).not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(True, None), True)
            .sign(self.key, hashes.SHA256()))
        self.pem = self.folder / "ca.pem"
        self.pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.issue("server", server=True)

    def issue(self, name, subject=None, expired=False, server=False):
        """Writes NAME.pem and NAME.key; gives both paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = subject or [(NameOID.COMMON_NAME, name)]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(*part) for part in subject]))
            .issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY).not_valid_after(now - DAY if expired else now + DAY)
            .add_extension(x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.ExtendedKeyUsage([usage]), False)
            .sign(self.key, hashes.SHA256()))
        pem, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret.touch(mode=0o600)
        secret.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return str(pem), str(secret)


class Node(lib.Broker):
    """A broker with more flags."""

    def __init__(self, *flags):
        super().__init__("ferrymq", http=True)
        self.flags = [str(flag) for flag in flags]

    def command(self):
        command, env = super().command()
        return command + self.flags, env

    def _answers(self):
        """Its word is enough: where a proxy is expected nobody else gets an answer."""
        return True

    def log(self):
        """What it has logged so far."""
        return (self.folder / "output").read_text(errors="replace")

    def wait_log(self, text, seconds=5):
        """Waits for a line of its log."""
        deadline = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < deadline, f"the log does not say {text!r}"
            time.sleep(0.05)


def connect(port, credentials=None, **options):
    """A pika connection to a local port."""
    credentials = credentials or pika.PlainCredentials("guest", "guest")
    return pika.BlockingConnection(pika.ConnectionParameters(
        "localhost", port, credentials=credentials, connection_attempts=1,
        blocked_connection_timeout=10, socket_timeout=8, stack_timeout=10, **options))


def round_trip(connection, body=b"hello"):
    """Publishes with a confirm and gets it back."""
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, body)
    _, _, found = channel.basic_get(queue, auto_ack=True)
    equal(found, body)
