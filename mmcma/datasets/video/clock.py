"""Times as people read them."""


def clock(seconds: float) -> str:
    """Whole seconds, rounded down: ``0:41:20``."""
    minutes, rest = divmod(int(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02}'
