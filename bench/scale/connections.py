#!/usr/bin/env python3
"""Ten thousand connections that do nothing: log-ins in a second, memory of each, idle CPU.

    bench/scale/connections.py [--connections 10000]

Idle connections open one after the other; further MQTT clients connect 100 at a time and subscribe,
with clean sessions and with sessions that are kept. Prints tables.
"""

import argparse

from node import Node, rows_of

LOGINS = "2,000/s"


def opened(broker, scenario, proto, count):
    figures = broker.bench("conns", "--scenario", scenario, "--connections", count, proto=proto)
    return [
        ("opened one after the other", f"{figures['opens_s']:,.0f}/s", LOGINS),
        ("CPU of each", f"{figures['broker_cpu_us_per_open']:.0f} us", ""),
        ("memory of each", f"{figures['kib_per_conn']:.1f} KiB",
         "4 KiB" if proto == "mqtt" else "6 KiB"),
        ("idle CPU", f"{figures['idle_cpu_pct']:.1f} % of one core", ""),
    ]


def at_once(broker, scenario, count):
    figures = broker.bench("sessions", "--scenario", scenario, "--connections", count,
                           proto="mqtt")
    return [
        ("connected and subscribed, 100 at a time", f"{figures['opens_s']:,.0f}/s", LOGINS),
        ("CPU of each", f"{figures['broker_cpu_us_per_open']:.0f} us", ""),
        ("p99 from the first packet to the SUBACK", f"{figures['p99_ms']:.0f} ms", ""),
        ("refused", f"{figures['refused']:.0f}", "0"),
        ("memory of each", f"{figures['kib_per_conn']:.1f} KiB", ""),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    count = parser.parse_args().connections
    for title, measure in [
        ("AMQP connections", lambda broker: opened(broker, "T8", "amqp", count)),
        ("MQTT connections", lambda broker: opened(broker, "MI", "mqtt", count)),
        ("MQTT clients with clean sessions", lambda broker: at_once(broker, "MC", count)),
        ("MQTT clients with sessions that are kept", lambda broker: at_once(broker, "MCp", count)),
    ]:
        broker = Node("connections")
        try:
            broker.start()
            rows_of(f"{count:,} {title}", measure(broker))
        finally:
            broker.close()


main()
