"""The error that a wrong setting raises."""


class SettingError(ValueError):
    """A config value, an argument or a file that does not fit.

    Its text is one message for the person who wrote the setting: what was given, what fits, and
    which setting or file to change. It is a :class:`ValueError`, so code that expects one works.
    """
