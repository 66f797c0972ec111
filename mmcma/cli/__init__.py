"""The commands of ``mmcma``, a module each: thin, nothing heavy is imported before one runs.

A module's docstring is its help, beginning with the one line of the list. ``add_arguments(parser)`` says what it takes
and ``run(args)`` does it.
"""
