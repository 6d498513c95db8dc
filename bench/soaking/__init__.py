"""The soak's parts: a node that is watched, clients of every protocol, and the page of results."""
