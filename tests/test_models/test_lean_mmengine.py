"""What a query does without, and what training still has."""
import subprocess
import sys

import pytest
import transformers
from mmengine.registry import OPTIMIZERS


@pytest.mark.slow
def test_a_query_imports_no_trainer():
    code = 'import sys, mmcma.apis, mmcma.search.gallery; print(*sys.modules)'
    imported = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
    assert not {'peft', 'matplotlib', 'mmengine.runner', 'mmcma.engine', 'transformers.optimization'} & set(imported)


def test_training_has_adafactor():
    import mmcma.engine  # noqa: F401
    assert OPTIMIZERS.get('Adafactor') is transformers.Adafactor
