"""For AMQPStorm's own suite, which knows no port but 5672: connections go to the judge's broker.

A plug-in of pytest. It also gives the cluster the name of the one that the suite is at home on.
"""

import os

import requests
from amqpstorm import Connection

AT_HOME = "rabbit@rmq.eandersson.net"


def pytest_configure():
    """Before the first test."""
    init, port = Connection.__init__, int(os.environ["PORT"])
    defaults = tuple(port if value == 5672 else value for value in init.__defaults__ or ())
    assert port in defaults, "the port has another default now"
    init.__defaults__ = defaults
    answer = requests.put(f"{os.environ['AMQP_HTTP_URL']}/api/cluster-name", json={"name": AT_HOME},
                          auth=("guest", "guest"), timeout=10)
    answer.raise_for_status()
