"""The modules of the other papers' adapters against their public code, on the same weights."""
import json

import pytest
import torch
from helpers import adapter_reference as reference


@pytest.mark.parametrize('case', reference.MODULES)
def test_a_module_computes_what_the_public_code_does(case):
    found = reference.ours()[case]
    golden = torch.tensor(json.loads(reference.GOLDEN.read_text())[case])
    torch.testing.assert_close(found[::2].flatten(), golden, atol=1e-5, rtol=1e-5)
    given = reference.inputs()['text' if 'text' in case else 'video']
    assert (found - given[:len(found)]).abs().max() > 0.1  # the module does something
