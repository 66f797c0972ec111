"""A few killed and resumed trainings, by the command that counts them."""
import subprocess
import sys
from pathlib import Path

import pytest

STRESS = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'stress.py'


@pytest.mark.slow
def test_killed_training_ends_like_the_undisturbed_one():
    shown = subprocess.run([sys.executable, STRESS, 'kills', '--trials', '2', '--seed', '3'], capture_output=True,
                           text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert 'kind kills  trials 2  seed 3  right 2' in shown.stdout
