#!/usr/bin/env python3
"""Which judge shows which statement: fills and checks the page `docs/mqtt-conformance.md`.

    statements.py fill PAGE     writes the names of cases where the page says `session`
    statements.py check PAGE    every case that the page names is there; nothing says `session`

A case is named `conformance NAME`, `bad NAME` or `once NAME`. Its statements stand in brackets at
the front of its own description (cases), or in its row (`bad_packets.py`); SHOWN_BY has those that
are shown by a case which is named for something else.
"""

import pathlib
import re
import sys

import bad_packets
import conformance
import once_steps

ID = re.compile(r"\[?(\d\.\d+\.\d+-\d+|\d\.\d+-\d+)( of 3\.1\.1)?\]?")
HOLE = "session"
# version of the table -> statement -> cases
SHOWN_BY = {
    5: """
2.2.1-5 conformance v5-basic, conformance s5-identifiers-are-unused
2.2.1-6 conformance s5-codes-in-order
3.1.0-1 bad first-packet-publish
3.1.2-6 conformance v5-session-expiry
3.1.2-7 conformance v5-will-delay
3.1.2-22 conformance v5-keepalive
3.1.2-23 conformance v5-session-expiry
3.1.2-26 conformance v5-server-topic-alias, conformance s5-alias-is-given-anew
3.1.2-27 conformance v5-server-topic-alias
3.1.3-2 conformance s5-session-is-kept
3.1.3-6 conformance v5-assigned-clientid
3.1.3-7 conformance s5-assigned-id-is-kept
3.1.3-8 bad connect-client-id-nul
3.1.3-10 conformance s5-will-as-it-was-given
3.1.4-1 bad connect-bytes-behind-it
3.1.4-4 conformance s5-clean-start
3.2.0-1 conformance s5-all-at-once
3.2.0-2 bad second-connect
3.2.2-3 conformance v5-session-expiry
3.2.2-7 bad connect-wrong-password
3.2.2-9 conformance v5-basic
3.2.2-10 conformance s5-lower-quality
3.2.2-12 conformance s5-will-as-it-was-given
3.2.2-13 conformance s5-will-as-it-was-given
3.3.1-1 conformance v5-redelivery-on-reconnect, once received
3.3.1-6 conformance s5-retained-is-told-apart
3.3.1-7 conformance s5-retained-is-told-apart
3.3.1-10 conformance v5-subscribe-options
3.3.1-11 conformance v5-subscribe-options
3.3.1-13 conformance v5-subscribe-options
3.3.2-3 conformance s5-matching
3.3.2-11 conformance s5-alias-is-given-anew
3.3.2-15 conformance v5-request-response
3.3.2-16 conformance v5-request-response
3.3.2-17 conformance v5-user-properties
3.3.2-18 conformance v5-user-properties
3.3.2-20 conformance v5-payload-format
3.3.4-1 conformance v5-basic
3.3.4-2 conformance v5-overlapping-subscriptions
3.3.4-4 conformance v5-subscribe-identifiers
3.3.4-5 conformance v5-subscribe-identifiers
3.3.4-7 conformance v5-flow-control-past-maximum
3.3.4-10 conformance s5-window-is-kept
3.8.3-3 conformance v5-subscribe-options
3.8.4-1 conformance s5-codes-in-order
3.8.4-2 conformance s5-codes-in-order
3.8.4-4 conformance v5-subscribe-options
3.8.4-7 conformance s5-lower-quality
3.9.3-1 conformance s5-codes-in-order
3.10.4-4 conformance v5-unsubscribe
3.10.4-5 conformance v5-unsubscribe
3.10.4-6 conformance s5-codes-in-order
3.11.3-1 conformance s5-codes-in-order
3.12.4-1 conformance s5-all-at-once
3.14.0-1 bad connect-wrong-password
4.1.0-2 conformance v5-session-expiry
4.2-1 conformance s5-byte-by-byte
4.3.1-1 conformance v5-basic
4.3.2-2 conformance s5-identifiers-are-unused
4.3.2-3 once quality-1-received
4.3.2-4 once quality-1-acked
4.3.3-2 conformance s5-identifiers-are-unused
4.3.3-3 once received
4.3.3-4 conformance s5-window-of-quality-2
4.3.3-5 once pubrel-received
4.3.3-6 conformance s5-pubrel-comes-again, once pubrel-received
4.3.3-8 once pubrec-received, once pubrec-lost
4.3.3-11 conformance s5-twice-is-once
4.5.0-1 conformance v5-basic
4.9.0-3 conformance s5-window-is-kept
4.12.0-3 conformance s5-scram-sha-256
4.12.0-4 conformance s5-scram-sha-256
4.12.0-5 conformance s5-scram-sha-256
4.13.2-1 bad connect-wrong-password
6.0.0-1 conformance s5-web-text-frame
6.0.0-2 conformance s5-web-cuts
6.0.0-4 conformance s5-web-subprotocol
""",
    4: """
3.1.2-6 conformance v4-offline-message-queueing
3.1.2-8 conformance v4-will-message
3.1.2-24 conformance v4-keepalive
3.2.2-4 bad connect-wrong-password
3.2.2-5 bad connect-wrong-password
3.2.2-6 bad connect-reserved-flag
3.3.1-8 conformance v4-retained-message
3.3.1-9 conformance v4-retained-message
3.8.4-3 conformance v4-overlapping-subscriptions
3.14.4-3 conformance s5-will-is-forgotten
4.8.0-1 bad second-connect
""",
}


def shown():
    """version -> statement -> names of cases."""
    found = {4: {}, 5: {}}

    def note(text, name):
        for statement, old in ID.findall(text):
            names = found[4 if old else 5].setdefault(statement, [])
            if name not in names:
                names.append(name)

    for name, case, _ in conformance.CASES:
        front = re.match(r"(\[[^]]*\]\s*)*", case.__doc__ or "")
        note(front.group(), f"conformance {name}")
    for row in bad_packets.ROWS:
        note(row.statement, f"bad {row.name}")
    for version, lines in SHOWN_BY.items():
        for line in lines.strip().splitlines():
            statement, names = line.split(" ", 1)
            for name in names.split(", "):
                known = found[version].setdefault(statement, [])
                if name not in known:
                    known.append(name)
    return found


def every_case():
    """All names that the page may use."""
    names = {f"conformance {name}" for name, _, _ in conformance.CASES}
    names |= {f"bad {row.name}" for row in bad_packets.ROWS}
    return names | {f"once {step.__name__.replace('_', '-')}" for step in once_steps.STEPS}


def rows(page):
    """(line number, version of the table, statement, line) of the page's tables."""
    version = 5
    for at, line in enumerate(page):
        if line.startswith("## "):
            version = 4 if "3.1.1" in line else 5
        if match := re.match(r"\| (\d[\d.]*-\d+) \|", line):
            yield at, version, match.group(1), line


def fill(path):
    """Writes names where the page says `session`."""
    page, table = path.read_text().split("\n"), shown()
    for at, version, statement, line in list(rows(page)):
        names = table[version].get(statement, [])[:4]
        before, _, tests = line.rstrip(" |").rpartition(" | ")
        parts = tests.split(", ")
        if HOLE in parts and names:
            parts[parts.index(HOLE):parts.index(HOLE) + 1] = [f"`{name}`" for name in names]
            page[at] = f"{before} | {', '.join(parts)} |"
    path.write_text("\n".join(page))


def check(path):
    """What is wrong with the page, line by line."""
    page, wrong = path.read_text().split("\n"), []
    for at, _, statement, line in rows(page):
        if HOLE in line.rstrip(" |").rpartition(" | ")[2].split(", "):
            wrong.append(f"{at + 1}: {statement} has no case")
    known = every_case()
    for name in re.findall(r"`((?:conformance|bad|once) [^`]+)`", "\n".join(page)):
        if name not in known:
            wrong.append(f"there is no case `{name}`")
    return wrong


def main():
    """Fills or checks."""
    action, path = sys.argv[1], pathlib.Path(sys.argv[2])
    if action == "fill":
        fill(path)
    wrong = check(path)
    print("\n".join(wrong) or "every statement has its case, and every case is there")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
