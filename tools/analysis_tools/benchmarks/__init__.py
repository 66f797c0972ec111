"""The sub-commands of benchmark.py, a module each, and what they share."""
import sys
from pathlib import Path

# The converters are scripts; what they know of the released code's names is needed here too.
sys.path.append(str(Path(__file__).parents[2] / 'model_converters'))
