"""What the soak found: the comparison with the beginning, the course, and the account.

Invariants
- A check that can not be made is a failed one; none is left out.
"""

MIB = 1 << 20
COURSE_ROWS = 12
# Of what is compared: what the end may have more than the beginning. Objects: nothing. One
# descriptor is for the connection that asks for the gauges.
MORE_MAX = {"rss": 24 * MIB, "disk": 128 * MIB, "live_bytes": MIB, "message_bytes": 64 << 10,
            "fds": 1, "deleted_fds": 0, "data_fds": 24, "threads": 0, "files": 2}
OBJECTS = ("connections", "channels", "queues", "consumers", "exchanges", "messages", "delayed")
NAMES = {"rss": "resident memory, MiB", "disk": "disk, MiB", "live_bytes": "live in the log, MiB",
         "message_bytes": "memory of messages, MiB", "fds": "descriptors (sockets and the like)",
         "data_fds": "descriptors of data files", "deleted_fds": "descriptors of deleted files"}


def more_max(name):
    """How much of it may have been added."""
    return MORE_MAX.get(name, 0)


def returned(before, after):
    """Is everything back where it began?"""
    return all(after[name] <= before[name] + more_max(name)
               for name in (*MORE_MAX, *OBJECTS))


def shown(name, value):
    """A figure of a table."""
    return f"{value / MIB:.1f}" if name in ("rss", "disk", "live_bytes", "message_bytes") \
        else f"{value:.0f}"


def table(headings, rows):
    """In Markdown, figures to the right."""
    lines = [f"| {' | '.join(headings)} |", "|---|" + "---:|" * (len(headings) - 1)]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows]) + "\n"


def comparison(fresh, before, peak, after):
    """The table of what is compared; and the names of what did not come back."""
    rows, failed = [], []
    for name in (*MORE_MAX, *OBJECTS):
        good = after[name] <= before[name] + more_max(name)
        if not good:
            failed.append(f"{NAMES.get(name, name)} did not return: "
                          f"{shown(name, before[name])} -> {shown(name, after[name])}")
        rows.append((NAMES.get(name, name), shown(name, fresh[name]), shown(name, before[name]),
                     shown(name, peak.get(name, 0)), shown(name, after[name]),
                     "+" + shown(name, more_max(name)), "yes" if good else "**no**"))
    heads = ("", "fresh", "before", "peak", "after", "may add", "back")
    return table(heads, rows), failed


def peaks(samples):
    """The most of everything."""
    names = {name for sample in samples for name in sample}
    return {name: max(s[name] for s in samples if name in s) for name in names}


def course(samples):
    """A row for each part of the time; figures at its end, CPU within it."""
    if not samples:
        return ""
    rows, last = [], samples[0]
    for part in range(1, COURSE_ROWS + 1):
        end = samples[part * (len(samples) - 1) // COURSE_ROWS]
        full = next((s for s in reversed(samples[:samples.index(end) + 1]) if "queues" in s), {})
        seconds = max(1e-9, end["at"] - last["at"])
        cpu = (end["cpu_s"] - last["cpu_s"]) / seconds if end["epoch"] == last["epoch"] else 0
        counts = [f"{full.get(name, 0):.0f}" for name in ("connections", "queues", "messages")]
        rows.append((f"{end['at'] / 60:.1f}", shown("rss", end["rss"]), end["fds"], end["data_fds"],
                     end["threads"],
                     end["files"], shown("disk", end["disk"]), *counts,
                     f"{100 * cpu:.0f}" if cpu else "-"))
        last = end
    return table(("minute", "RSS MiB", "sockets etc.", "data fds", "threads", "files", "disk MiB",
                  "connections", "queues", "messages", "CPU %"), rows)


def slope_mib_h(samples):
    """Growth of the resident memory over the second half, by least squares."""
    half = samples[len(samples) // 2:]
    if len(half) < 2:
        return 0.0
    times, sizes = [s["at"] / 3600 for s in half], [s["rss"] / MIB for s in half]
    time, size = sum(times) / len(half), sum(sizes) / len(half)
    spread = sum((t - time) ** 2 for t in times)
    return sum((t - time) * (s - size) for t, s in zip(times, sizes)) / spread


def account(workers):
    """Per worker: what was published, came, is missing; and what is wrong with it."""
    rows, failed = [], []
    for worker in workers:
        rows.append((worker.title, f"{worker.next:,}", f"{worker.delivered:,}", worker.again,
                     worker.reconnects, worker.missing, len(worker.errors)))
        if worker.missing:
            failed.append(f"{worker.title}: {worker.missing} messages are missing")
        failed += [f"{worker.title}: {error}" for error in worker.errors]
    heads = ("worker", "published", "taken", "taken again", "reconnects", "missing", "errors")
    return table(heads, rows), failed


def render(title, facts, parts, failed):
    """The whole page."""
    text = [f"# {title}\n"] + [f"- {name}: {value}" for name, value in facts]
    text += ["", f"**{'Failed' if failed else 'Passed'}.**\n"]
    text += [f"- {what}" for what in failed] + ([""] if failed else [])
    for heading, part in parts:
        text += [f"## {heading}\n", part]
    return "\n".join(text).rstrip() + "\n"
