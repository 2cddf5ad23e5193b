"""Checkpoints that a stranger might hand over."""


class RunsCode:
    """Unpickling this calls a function, as a hostile checkpoint would."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call
