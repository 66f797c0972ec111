"""The tools that the tests of this folder import, as a script beside them would."""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / 'tools' / 'analysis_tools'))
