"""Methods that know of clips against their public code, and what they must be offered."""
import json

import pytest
import torch
from helpers import official_reference
from helpers import video_method_reference as reference
from helpers.clip import model_config


@pytest.mark.parametrize('case', reference.CASES)
def test_features_are_those_of_the_public_code(tmp_path, build, case):
    model = build(model_config(official_reference.write_hf_folder(tmp_path), neck=reference.CASES[case],
                               data_preprocessor=dict(type='RetrievalDataPreprocessor'))).eval()
    reference.fill_neck(model.neck)
    ids = reference.captions(case)
    with torch.no_grad():
        found = dict(vision=model.vision_backbone(reference.clips(case)).flatten(0, 1),
                     text=model.text_backbone(ids, ids != 0).pooled)
        with model.zero_shot():
            plain = model.text_backbone(ids, ids != 0).pooled
    golden = {side: torch.tensor(rows) for side, rows in json.loads(reference.GOLDEN.read_text())[case].items()}
    for side, expected in golden.items():
        torch.testing.assert_close(found[side], expected, atol=1e-5, rtol=1e-5)
    if 'text' in golden:
        assert (found['text'] - plain).abs().amax(dim=1).min() > 1e-2
