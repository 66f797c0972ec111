"""The commands of ``mmcma``, a module each.

A module's docstring is its help, beginning with the one line of the list. ``add_arguments(parser)`` says what it takes
and ``run(args)`` does it; nothing heavy is imported before ``run``.
"""
