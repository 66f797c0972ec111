"""A few killed and resumed trainings, by the command that counts them."""
import sys
from contextlib import redirect_stdout
from io import StringIO
from unittest.mock import patch

import pytest
from helpers.processes import together


def campaign(tools: list[str]) -> str:
    """What the command says, in a process that it can fork."""
    sys.path += tools
    import stress
    with patch.object(sys, 'argv', ['stress.py', 'kills', '--trials', '2', '--seed', '3']), \
            redirect_stdout(StringIO()) as said:
        stress.main()
    return said.getvalue()


@pytest.mark.slow
def test_killed_training_ends_like_the_undisturbed_one():
    said, = together(campaign, sys.path, count=1)
    assert 'kind kills  trials 2  seed 3  right 2' in said
