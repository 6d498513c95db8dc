"""Cells that are different on purpose, and why."""

MEANT = {
    # RabbitMQ before 3.12 showed them to administrators alone.
    "feature-flags": lambda want, got: got.startswith("200") and want.startswith("401"),
    # RabbitMQ lists a virtual host whose limits were all cleared, without limits.
    "vhost-limits": lambda want, got: (want, got) == ("200 [1]", "200 [0]"),
    "vhost-limits/{v}": lambda want, got: (want, got) == ("200 [1]", "200 [0]"),
    # Such limits are a parameter.
    "parameters": lambda want, got: (want, got) == ("200 [1]", "200 [0]"),
}


def on_purpose(section, name, want, got):
    """Whether a difference is meant."""
    return section == "http seen" and name in MEANT and MEANT[name](want, got)
