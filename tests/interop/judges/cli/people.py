"""Users, permissions, virtual hosts, policies, limits, definitions; and who is let in."""

import json
import pathlib
import tempfile

from kit import (Checks, REFUSED, UNREACHABLE, USAGE, api, as_json, code, connect, name, ok, pika,
                 rows, run)


def a_user_is_made_used_and_deleted():
    user, vhost = name("user"), name("v")
    ok("vhosts", "add", vhost, "--description", "for a test", "--tags", "a,b")
    ok("users", "add", user, "--tags", "management", "--new-password-file", "-", stdin=b"secret\n")
    assert [row["tags"] for row in rows("users") if row["name"] == user] == ["management"]
    ok("permissions", "set", user, "^mine-.*", "^mine-.*", ".*", "--vhost", vhost)
    found = [row for row in rows("permissions", "--of-user", user)]
    assert [(row["vhost"], row["configure"]) for row in found] == [(vhost, "^mine-.*")]
    connection = connect(user, "secret", vhost)
    connection.channel().queue_declare("mine-1")
    try:
        connection.channel().queue_declare("other")
        raise AssertionError("it may declare what it should not")
    except pika.exceptions.ChannelClosedByBroker as closed:
        assert closed.reply_code == 403
    connection.close()
    ok("users", "password", user, "--new-password-file", "-", stdin=b"other")
    assert [row["tags"] for row in rows("users") if row["name"] == user] == ["management"]
    ok("users", "tags", user, "monitoring,policymaker")
    connect(user, "other", vhost).close()
    ok("permissions", "set-topic", user, "amq.topic", "^a", ".*", "--vhost", vhost)
    assert len(rows("permissions", "--topic", "--of-user", user)) == 1
    ok("permissions", "clear-topic", user, "--vhost", vhost)
    ok("permissions", "clear", user, "--vhost", vhost)
    assert rows("permissions", "--of-user", user) == []
    ok("users", "delete", user)
    code(REFUSED, "users", "delete", user)
    ok("vhosts", "delete", vhost)
    code(REFUSED, "vhosts", "delete", vhost)


def passwords_come_from_files_and_the_environment_only():
    user = name("user")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "password")
        path.write_text("geheim\n")
        ok("users", "add", user, "--tags", "administrator", "--new-password-file", str(path))
        ok("status", "--user", user, "--password-file", str(path))
        ok("status", "--user", user, "--password-file", "-", stdin=b"geheim")
        ok("status", env={"FERRYMQ_USER": user, "FERRYMQ_PASSWORD": "geheim"})
        done = run("status", "--user", user, env={"FERRYMQ_PASSWORD": "wrong"})
        assert done.returncode == REFUSED and b"--password-file" in done.stderr, done.stderr
        assert b"wrong" not in done.stderr + done.stdout
        code(USAGE, "status", "--user", user)
        code(USAGE, "status", "--password", "geheim")
        code(USAGE, "status", "--node", f"http://{user}:geheim@127.0.0.1:1")
        code(USAGE, "status", "--password-file", str(path) + ".none")
        code(USAGE, "users", "add", name("user"), "--new-password-file", "-", stdin=b"\n")
    ok("users", "delete", user)


def policies_come_and_go():
    policy = name("policy")
    ok("policies", "set", policy, "^none$", "max-length=5", "overflow=reject-publish",
       "--priority", "-3", "--apply-to", "queues")
    found = [item for item in as_json("policies") if item["name"] == policy]
    assert found[0]["definition"] == {"max-length": 5, "overflow": "reject-publish"}
    assert (found[0]["priority"], found[0]["apply-to"]) == (-3, "queues")
    ok("policies", "set", policy, "^none$", "--definition", '{"max-length": 6}', "--operator")
    assert [row["name"] for row in rows("policies", "--operator") if row["name"] == policy]
    ok("policies", "delete", policy, "--operator")
    ok("policies", "delete", policy)
    code(REFUSED, "policies", "delete", policy)
    code(REFUSED, "policies", "set", policy, "(", "max-length=5")
    code(REFUSED, "policies", "set", policy, "^none$", "no-such-setting=5")
    code(USAGE, "policies", "set", policy, "^none$")
    code(USAGE, "policies", "set", policy, "^none$", "--definition", "[]")


def limits_come_and_go():
    vhost = name("v")
    ok("vhosts", "add", vhost)
    ok("limits", "set", "vhost", vhost, "max-queues", "2")
    found = [row for row in rows("limits") if row["name"] == vhost]
    assert found == [{"of": "vhost", "name": vhost, "limit": "max-queues", "value": "2"}]
    ok("declare", "queue", "a", "--vhost", vhost)
    ok("declare", "queue", "b", "--vhost", vhost)
    code(REFUSED, "declare", "queue", "c", "--vhost", vhost)
    ok("limits", "clear", "vhost", vhost, "max-queues")
    ok("declare", "queue", "c", "--vhost", vhost)
    assert {row["name"] for row in rows("queues", "--vhost", vhost)} == {"a", "b", "c"}
    code(REFUSED, "limits", "set", "user", name("user"), "max-connections", "2")
    ok("vhosts", "delete", vhost)


def definitions_go_out_and_in():
    # Of one virtual host: the whole node's would bring back what others delete meanwhile.
    queue, vhost = name(), name("v")
    ok("vhosts", "add", vhost)
    ok("declare", "queue", queue, "--max-length", "9", "--vhost", vhost)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "definitions.json")
        ok("definitions", "export", str(path), "--vhost", vhost)
        assert path.stat().st_mode & 0o077 == 0, "others can read hashes of passwords"
        queues = {item["name"]: item for item in json.loads(path.read_text())["queues"]}
        assert queues[queue]["arguments"] == {"x-max-length": 9}
        assert json.loads(ok("definitions", "export"))["users"]
        ok("delete", "queue", queue, "--vhost", vhost)
        ok("definitions", "import", str(path), "--vhost", vhost)
        assert api("GET", f"queues/{vhost}/{queue}")[1]["arguments"] == {"x-max-length": 9}
        path.write_text("{")
        code(USAGE, "definitions", "import", str(path))
        code(USAGE, "definitions", "import", str(path) + ".none")


def a_node_that_is_not_there_is_told_apart():
    done = run("status", "--node", "http://127.0.0.1:1")
    assert done.returncode == UNREACHABLE and b"ferrymq serve" in done.stderr
    code(USAGE, "status", "--node", "ftp://x")
    code(USAGE, "no-such-command")
    code(USAGE, "queues", "--no-such-flag")
    code(USAGE, "peek")


def main():
    """All of them."""
    checks = Checks()
    for check in (a_user_is_made_used_and_deleted,
                  passwords_come_from_files_and_the_environment_only, policies_come_and_go,
                  limits_come_and_go, definitions_go_out_and_in,
                  a_node_that_is_not_there_is_told_apart):
        checks.run("cli " + check.__name__.replace("_", " "), check)
    checks.finish()


if __name__ == "__main__":
    main()
