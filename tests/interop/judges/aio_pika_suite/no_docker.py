"""For aio-pika's own suite, which starts a broker in a container: it gets the judge's instead.

A plug-in of pytest: it stands in for the suite's `tests/docker_client.py` before that is imported.
"""

import os
import sys
import types


class Container:
    """What the suite knows of a container that runs."""

    id = "the judge's broker"
    host = os.environ["HOST"]
    ports = {"5672/tcp": int(os.environ["PORT"])}


class Client:
    """Starts nothing, and ends nothing."""

    def __init__(self, _host):
        pass

    def run(self, _image, _ports, environment=None):
        """The one that runs anyway; it can not be told otherwise."""
        assert environment is None
        return Container()

    def kill(self, _container):
        """It goes on."""

    def remove(self, _container):
        """It stays."""


stand_in = types.ModuleType("tests.docker_client")
stand_in.ContainerInfo = Container
stand_in.DockerClient = Client
stand_in.DockerHostInfo = types.SimpleNamespace
stand_in.DockerNotAvailableError = type("DockerNotAvailableError", (Exception,), {})
stand_in.check_docker_available = types.SimpleNamespace
sys.modules[stand_in.__name__] = stand_in
