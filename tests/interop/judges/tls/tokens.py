"""Tokens of an issuer: who is let in, for how long, and with which rights."""

import base64
import functools
import hmac
import http.server
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import jwt
import lib
import pika
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from kit import Node, connect, equal, refused, round_trip

CHECKS = lib.Checks()
KEYS = {
    "rsa": (rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "p256": (ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "p384": (ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "ed": (ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm),
}
FOREIGN = rsa.generate_private_key(65537, 2048)
ALL = "broker.read:*/* broker.write:*/* broker.configure:*/* broker.tag:administrator"
DENIED = (pika.exceptions.ProbableAuthenticationError, pika.exceptions.AMQPConnectionError)


class Issuer(http.server.BaseHTTPRequestHandler):
    """Gives out the public keys."""
    asked = 0
    known = ["rsa", "p256", "p384"]

    def do_GET(self):
        """The key set."""
        Issuer.asked += 1
        keys = []
        for name in Issuer.known:
            key, algorithm = KEYS[name]
            keys.append(json.loads(algorithm.to_jwk(key.public_key())) | {"kid": name, "use": "sig"})
        body = json.dumps({"keys": keys}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


def token(algorithm="RS256", key="rsa", lifetime=60, kid=None, secret=None, **claims):
    """A token that is right, but for what is given."""
    claims = {"sub": "alice", "aud": "broker", "scope": ALL,
              "exp": int(time.time()) + lifetime} | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, secret or KEYS[key][0], algorithm, headers={"kid": kid or key})


def symmetric(secret):
    """A token that takes the public key for a shared secret."""
    def encode(part):
        return base64.urlsafe_b64encode(part).rstrip(b"=")
    head, claims = {"alg": "HS256", "kid": "rsa"}, {"sub": "alice", "aud": "broker", "scope": ALL}
    signed = b".".join(encode(json.dumps(part).encode()) for part in (head, claims))
    return (signed + b"." + encode(hmac.digest(secret, signed, "sha256"))).decode()


def log_in(node, text, user=""):
    """A connection with a token as its password."""
    return connect(node.port, pika.PlainCredentials(user, text))


def status(node, path, text):
    """The status of a request with a token."""
    request = urllib.request.Request(f"http://127.0.0.1:{node.http}{path}",
                                     headers={"Authorization": f"Bearer {text}"})
    try:
        return urllib.request.urlopen(request, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code


def algorithms(node):
    """Every kind of signature."""
    for algorithm, key in (("RS256", "rsa"), ("RS384", "rsa"), ("RS512", "rsa"), ("PS256", "rsa"),
                           ("PS384", "rsa"), ("PS512", "rsa"), ("ES256", "p256"),
                           ("ES384", "p384")):
        with log_in(node, token(algorithm, key)) as connection:
            round_trip(connection)


def wrong(node):
    """Whatever is not right is refused."""
    good = token()
    head, claims, signature = good.split(".")
    public = KEYS["rsa"][0].public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for text in (
            token(aud="another"), token(aud=None), token(lifetime=-5), token(nbf=int(time.time()) + 99),
            token(sub=None), token(secret=FOREIGN), token(kid="unknown"),
            symmetric(public), jwt.encode({"sub": "alice", "aud": "broker"}, None, "none"),
            f"{head}.{claims}.", f"{head}.{claims[:-4]}AAAA.{signature}", f"{head}.{claims}",
            f"{claims}.{head}.{signature}", "guest", ""):
        refused(DENIED, lambda text=text: log_in(node, text))
        equal(status(node, "/api/whoami", text), 401)


def large(node):
    """A token that does not fit into the smallest frame."""
    with log_in(node, token(groups="x" * 6000)) as connection:
        round_trip(connection)


def pipelined(node):
    """A client that does not wait for an answer loses nothing while its token is looked at."""
    def frame(payload):
        return b"\x01\0\0" + len(payload).to_bytes(4, "big") + payload + b"\xce"
    secret = b"\0\0" + token().encode()
    said = b"AMQP\0\0\x09\x01"
    said += frame(b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN" + len(secret).to_bytes(4, "big") + secret
                  + b"\x05en_US")
    said += frame(b"\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\0") + frame(b"\0\x0a\0\x28\x01/\0\0")
    with socket.create_connection(("127.0.0.1", node.port), 5) as client:
        client.sendall(said)
        client.settimeout(5)
        answer = b""
        while b"\0\x0a\0\x29" not in answer:
            part = client.recv(4096)
            assert part, answer
            answer += part


def guest_too(node):
    """The broker's own users are asked first."""
    with connect(node.port) as connection:
        round_trip(connection)
    refused(DENIED, lambda: log_in(node, "wrong", "guest"))


def over_http(node):
    """A bearer's token, and the tags it brings."""
    equal(status(node, "/api/whoami", token()), 200)
    equal(status(node, "/api/overview", token()), 200)


def names(node):
    """The user is whom the token names, not whom the client says."""
    with log_in(node, token(sub="bob"), "admin"):
        request = urllib.request.Request(f"http://127.0.0.1:{node.http}/api/connections",
                                         headers={"Authorization": f"Bearer {token()}"})
        found = json.load(urllib.request.urlopen(request, timeout=5))
        assert "bob" in [one["user"] for one in found], found


def no_virtual_host(node):
    """Without a scope for a virtual host it is not entered."""
    for scope in ("", "other.read:*/*", "broker.read:elsewhere/*", "read:*/*"):
        refused((pika.exceptions.ConnectionClosedByBroker, pika.exceptions.ProbableAccessDeniedError),
                lambda scope=scope: log_in(node, token(scope=scope)))


def expires(node):
    """When the token ends, so does the connection."""
    connection = log_in(node, token(lifetime=2))
    round_trip(connection)
    began = time.monotonic()
    error = refused(pika.exceptions.ConnectionClosedByBroker,
                    lambda: connection.process_data_events(time_limit=8))
    equal((error.reply_code, "credential expired" in error.reply_text), (320, True))
    assert time.monotonic() - began < 4


def renewed(node):
    """A new secret in time keeps it; a wrong one ends it."""
    connection = log_in(node, token(lifetime=2))
    connection.update_secret(token(lifetime=60), "renewed")
    connection.process_data_events(time_limit=3)
    round_trip(connection)
    for text in (token(sub="bob"), token(lifetime=-1), "nothing"):
        renewing = log_in(node, token())
        refused(pika.exceptions.ConnectionClosedByBroker,
                lambda text=text, renewing=renewing: renewing.update_secret(text, "wrong"))
    connection.close()


def rotated(node):
    """A key that is new is found, and unknown ones do not make us ask all the time."""
    before = Issuer.asked
    for _ in range(20):
        refused(DENIED, lambda: log_in(node, token(kid="unknown")))
    assert Issuer.asked <= before + 1, f"asked {Issuer.asked - before} times"
    Issuer.known = ["rsa", "ed"]
    deadline = time.monotonic() + 12
    while True:
        try:
            with log_in(node, token("EdDSA", "ed")) as connection:
                return round_trip(connection)
        except DENIED:
            assert time.monotonic() < deadline, "the new key is not found"
            time.sleep(1)


def main():
    """One issuer, one node."""
    issuer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=issuer.serve_forever, daemon=True).start()
    with Node("--auth-backends", "internal", "--auth-backends", "oauth2",
              "--oauth2-jwks-url", f"http://127.0.0.1:{issuer.server_address[1]}/keys",
              "--oauth2-resource-server-id", "broker") as node:
        for check in (algorithms, wrong, large, pipelined, guest_too, over_http, names, no_virtual_host,
                      expires, renewed, rotated):
            CHECKS.run(f"tokens {check.__name__}", functools.partial(check, node))
        log = node.log()
        assert "panicked" not in log
        CHECKS.run("tokens none_in_the_log", lambda: equal("eyJ" in log, False))
    CHECKS.finish()


if __name__ == "__main__":
    main()
