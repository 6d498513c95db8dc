"""The registry of scenarios: `scenario` for one conversation, `cases` for a table of them.

Invariant: a name (module.function[.case]) is used once; it is the prefix of all the names that the
conversation makes, so conversations never meet on a broker.
"""

SCENARIOS = {}
ALONE = set()


def _add(name, function):
    assert name not in SCENARIOS, f"{name} is there twice"
    SCENARIOS[name] = function


def _place(function):
    return f"{function.__module__.rsplit('.', 1)[-1]}.{function.__name__}"


def scenario(function):
    """Registers `function(session)`."""
    _add(_place(function), function)
    return function


def cases(rows):
    """Registers `function(session, *row)` for each entry of a dict."""
    def register(function):
        for key, row in rows.items():
            row = row if isinstance(row, tuple) else (row,)
            _add(f"{_place(function)}.{key}", lambda session, row=row: function(session, *row))
        return function
    return register


def alone(function):
    """The conversations of this function change what others would notice; they run by themselves.

    Stands above `scenario` or `cases`. They leave nothing behind (`Session.later`).
    """
    place = _place(function)
    ALONE.update(name for name in SCENARIOS if name == place or name.startswith(place + "."))
    return function
