#!/usr/bin/env python3
"""Makes of a directory what a power cut could have left of it.

    forget.py DATA STATE SEED      DATA as `disk.c` left it after SIGKILL, with its journal in STATE

What a disk promises is in the head of `crates/log/src/disk.rs`; here it is held to that and no
more. Bytes that a sync covers stay. Of each later write all, nothing, some sectors of 512 bytes, or
only the length reaches the disk, whatever became of those before it; a cut does or does not. Names
that a sync of the directory covers stay; each later creation, renaming and removal did happen or
did not. One seed, one outcome.

How: the journal is taken back from its end (a change is told before it is made, with the bytes it
replaces), which leaves the safe state and, on the way, what each change had made of its place. Then
those that the seed lets live are made again in their order.
"""

import collections
import os
import pathlib
import random
import struct
import sys

SECTOR_BYTES = 512
# The head of an entry; `disk.c` has the same words.
ENTRY = struct.Struct("<6Q")
# How many of the changes survive, drawn once for each cut: often none, often all.
SHARES = (0.0, 0.0, 0.1, 0.5, 0.9, 1.0)
FATES = ("torn", "length")
ODD_SHARE = 0.3


# Changes of bytes that were open, and were kept; of names, and names that are gone or others now.
Forgotten = collections.namedtuple("Forgotten", "open kept names undone")


class Entry:
    """One line of the journal. `new` is what it had made, once it is taken back."""

    def __init__(self, number, what, inode, at, size, was_long, extra):
        self.number, self.what, self.inode = number, chr(what), inode
        self.at, self.size, self.was_long, self.extra, self.new = at, size, was_long, extra, b""

    def names(self):
        """The names in it."""
        return [name.decode() for name in self.extra.split(b"\0")]


def journal(state):
    """All whole entries; SIGKILL may have cut the last one, whose change then never happened, or
    come before the first."""
    path, at, entries = state / "journal", 0, []
    data = path.read_bytes() if path.exists() else b""
    while at + ENTRY.size <= len(data):
        *head, extra_bytes = ENTRY.unpack_from(data, at)
        at += ENTRY.size
        if at + extra_bytes > len(data):
            break
        entries.append(Entry(len(entries), *head, data[at:at + extra_bytes]))
        at += extra_bytes
    return entries


def unsafe(entries):
    """(changes of bytes, changes of names) that no sync covers, in their order."""
    covered, names_covered = {}, 0
    for entry in entries:
        if entry.what == "S":
            covered[entry.inode] = max(covered.get(entry.inode, 0), entry.at)
        elif entry.what == "D":
            names_covered = max(names_covered, entry.at)
    bytes_of = [entry for entry in entries if entry.what in "WT"
                and entry.number >= covered.get(entry.inode, 0)]
    names_of = [entry for entry in entries if entry.what in "CRU"
                and entry.number >= names_covered]
    return bytes_of, names_of


def write_all(file, data, at):
    """pwrite until all is written."""
    while data:
        done = os.pwrite(file, data, at)
        data, at = data[done:], at + done


def take_back(file, entry):
    """Undoes one change of bytes, and remembers what it had made."""
    if entry.what == "W":
        entry.new = os.pread(file, entry.size, entry.at)
        end = min(entry.at + entry.size, entry.was_long)
    else:
        end = entry.was_long
    os.ftruncate(file, entry.was_long)
    if end > entry.at:
        write_all(file, entry.extra or bytes(end - entry.at), entry.at)


def make_again(file, entry, fate, draw):
    """Lets one change of bytes reach the disk, or a part of it."""
    if entry.what == "T":
        os.ftruncate(file, entry.at)
        return
    end = entry.at + len(entry.new)
    at = entry.at
    while fate != "length" and at < end:
        stop = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES) if fate == "torn" else end
        if fate == "kept" or draw.random() < 0.5:
            write_all(file, entry.new[at - entry.at:stop - entry.at], at)
        at = stop
    if fate == "length" and os.fstat(file).st_size < end:
        os.ftruncate(file, end)


def bytes_forgotten(changes, path_of, draw, share):
    """Takes all changes of bytes back and makes some again. Returns how many were kept whole."""
    files = {inode: os.open(path_of[inode], os.O_RDWR)
             for inode in {entry.inode for entry in changes}}
    for entry in reversed(changes):
        take_back(files[entry.inode], entry)
    kept = 0
    for entry in changes:
        fate = "kept" if draw.random() < share else "dropped"
        if entry.what == "W" and 0 < share < 1 and draw.random() < ODD_SHARE:
            fate = draw.choice(FATES)
        if fate != "dropped":
            make_again(files[entry.inode], entry, fate, draw)
        kept += fate == "kept"
    for file in files.values():
        os.close(file)
    return kept


def names_forgotten(changes, now, draw, share):
    """The names that the directory has after the cut, as {name: inode}; `now` is before it."""
    names = dict(now)
    for entry in reversed(changes):
        if entry.what == "C":
            entry.inode = names.pop(entry.names()[0], 0)
        elif entry.what == "U":
            names[entry.names()[0]] = entry.inode
        else:
            old, new = entry.names()
            names[old] = entry.inode
            names.pop(new, None)
            if entry.at:
                names[new] = entry.at
    for entry in changes:
        if draw.random() >= share or not entry.inode:
            continue
        if entry.what == "R":
            names.pop(entry.names()[0], None)
        if entry.what == "U":
            names.pop(entry.names()[0], None)
        else:
            names[entry.names()[-1]] = entry.inode
    return names


def forget(data, state, seed):
    """Does all of it. Returns what there was to forget."""
    data, state, draw = pathlib.Path(data), pathlib.Path(state), random.Random(seed)
    kept_links, stage = state / "kept", state / "stage"
    kept_links.mkdir(exist_ok=True)
    changes, renames = unsafe(journal(state))
    now = {path.name: path.stat().st_ino for path in data.iterdir()}
    path_of = {path.stat().st_ino: path
               for path in [*kept_links.iterdir(), *data.iterdir()]}
    kept = bytes_forgotten(changes, path_of, draw, draw.choice(SHARES))
    names = names_forgotten(renames, now, draw, draw.choice(SHARES))
    stage.mkdir()
    for name, inode in names.items():
        os.link(path_of[inode], stage / name)
    for path in data.iterdir():
        path.unlink()
    for path in stage.iterdir():
        path.rename(data / path.name)
    stage.rmdir()
    for path in kept_links.iterdir():
        path.unlink()
    (state / "journal").unlink(missing_ok=True)
    same = sum(names.get(name) == inode for name, inode in now.items())
    return Forgotten(len(changes), kept, len(renames), len(now) - same)


def main():
    """The command."""
    data, state, seed = sys.argv[1:]
    print(forget(data, state, int(seed)))


if __name__ == "__main__":
    main()
