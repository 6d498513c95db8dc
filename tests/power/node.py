"""A node on the disk of `disk.c`: started, cut off from its power, started on what is left.

Invariants
- The library is built once per process, by the machine's own compiler, with all warnings as errors.
- What a life has left unsynced is known until `cut` or the next start: `state` has its journal.
"""

import functools
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
INTEROP = HERE.parent / "interop"
sys.path[:0] = [str(INTEROP), str(INTEROP / "differential"), str(INTEROP / "mqtt")]

import lib  # noqa: E402
from forget import forget  # noqa: E402

# The kinds of calls that `disk.c` counts, in its order.
KINDS = ("open", "create", "read", "write", "cut", "sync", "names", "rename", "remove", "list")
KILLED = -9


@functools.cache
def library():
    """The preload library, built."""
    built = lib.CACHE / "power" / "disk.so"
    built.parent.mkdir(parents=True, exist_ok=True)
    own = built.with_suffix(f".{os.getpid()}")  # others may build it at the same time
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", own,
                    HERE / "disk.c", "-lpthread"], check=True)
    own.replace(built)
    return str(built)


class Node(lib.Broker):
    """A FerryMQ node; `sync`, `sync_ms`, `fail`: POWER_SYNC, _SYNC_MS, _FAIL of `disk.c`."""

    taken = set()  # of ports, by other nodes of this process
    taking = threading.Lock()

    def __init__(self, *flags, mqtt=None, sync="real"):
        with self.taking:
            ports = [lib.free_port(skip=self.taken)]
            ports += [lib.free_port(skip=self.taken.union(ports))] if mqtt else []
            self.taken.update(ports)
        super().__init__("ferrymq", port=ports[0], mqtt=ports[1] if mqtt else None)
        self.flags, self.sync, self.fail, self.sync_ms = flags, sync, "", 0
        self.data, self.state = self.folder / "data", self.folder / "state"
        self.state.mkdir(parents=True)
        self.data.mkdir()

    def remove(self):
        """Its folder and its ports are free again."""
        super().remove()
        self.give_up_ports()

    def give_up_ports(self):
        """For a node that is dead for good and whose folder stays."""
        self.taken.difference_update((self.port, self.mqtt))

    def command(self):
        """The broker's own, with the disk in between."""
        command, env = super().command()
        env.update(LD_PRELOAD=library(), POWER_DIR=str(self.data), POWER_STATE=str(self.state),
                   POWER_SYNC=self.sync, POWER_FAIL=self.fail,
                   POWER_SYNC_MS=str(self.sync_ms))
        return command + list(self.flags), env

    def start(self):
        """A new life, with nothing open on the disk and no call counted."""
        for name in ("journal", "counts", "failed", "space"):
            (self.state / name).unlink(missing_ok=True)
        shutil.rmtree(self.state / "kept", ignore_errors=True)
        return super().start()

    def start_and_kill(self, after_s):
        """Kills it in the middle of a start, if that takes so long. Returns whether it did."""
        timer = threading.Timer(after_s, self._kill_now)
        timer.start()
        try:
            self.start()
        except RuntimeError:
            if self.process.returncode != KILLED:
                raise
            return True
        finally:
            timer.join()
            self.kill()
        return False

    def _kill_now(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def cut(self, seed):
        """The power is gone; what the disk has kept is the seed's choice. Returns `Forgotten`."""
        self.kill()
        return forget(self.data, self.state, seed)

    def counts(self):
        """How often each kind of call was made in this life."""
        data = (self.state / "counts").read_bytes()
        return dict(zip(KINDS, struct.unpack(f"<{len(KINDS)}Q", data)))

    def failed(self):
        """The calls that were made to fail, as (kind, file, offset, bytes)."""
        path = self.state / "failed"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(kind, name, int(at), int(size))
                for kind, name, at, size in (line.split() for line in lines)]

    def space(self):
        """The disk has space again."""
        (self.state / "space").touch()

    def output(self):
        """What it printed, in all its lives."""
        return (self.folder / "output").read_text(errors="replace")
