"""The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) in MQTT 5 packets."""

import base64
import hashlib
import hmac
import secrets

import packets as p

METHOD = {"authentication_method": "SCRAM-SHA-256"}


def digest(key, data):
    """HMAC-SHA-256."""
    return hmac.digest(key, data, "sha256")


class Exchange:
    """One exchange: first message, final message, check of the server's signature."""

    def __init__(self, user, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"
        self.signature = None

    def first(self):
        """The client's first message, without channel binding."""
        return b"n,," + self.bare.encode()

    def final(self, data):
        """The answer to the server's challenge."""
        challenge = data.decode()
        values = dict(part.split("=", 1) for part in challenge.split(","))
        assert values["r"].startswith(self.nonce) and values["r"] != self.nonce, challenge
        assert int(values["i"]) >= 4096, challenge
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(values["s"]),
                                     int(values["i"]))
        bare = f"c=biws,r={values['r']}"
        text = f"{self.bare},{challenge},{bare}".encode()
        key = digest(salted, b"Client Key")
        mask = digest(hashlib.sha256(key).digest(), text)
        proof = bytes(a ^ b for a, b in zip(key, mask))
        self.signature = digest(digest(salted, b"Server Key"), text)
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def proven(self, data):
        """Whether the server knows the password, too."""
        return data == b"v=" + base64.b64encode(self.signature)


def play(client, exchange):
    """From the challenge on; gives the packet that ends it."""
    said = client.read()
    if said.kind != p.AUTH:
        return said
    assert said.code == 0x18 and said.props["authentication_method"] == "SCRAM-SHA-256", vars(said)
    answer = exchange.final(said.props["authentication_data"])
    client.send(p.auth(0x18, {**METHOD, "authentication_data": answer}))
    said = client.read()
    if said.code == 0:
        assert exchange.proven(said.props.get("authentication_data", b"")), "no server signature"
    return said


def connect(client, client_id, user, password):
    """CONNECT to its end; gives the client and the last packet."""
    exchange = Exchange(user, password)
    client.send(p.connect(client_id, props={**METHOD, "authentication_data": exchange.first()}))
    return client, play(client, exchange)


def again(client, user, password):
    """Re-authentication on a connection."""
    exchange = Exchange(user, password)
    client.send(p.auth(0x19, {**METHOD, "authentication_data": exchange.first()}))
    return play(client, exchange)
