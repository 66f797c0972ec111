"""Panels of a test: the right queries, what the test found, and the image in every place."""
import numpy as np
import pytest
import torch
from helpers.tiny_run import read_config
from mmengine.runner import Runner
from PIL import Image

from mmcma.visualization.result_panels import result_panels


@pytest.fixture(scope='module')
def tested(tiny_clip, tmp_path_factory) -> Runner:
    cfg = read_config(tmp_path_factory.mktemp('run'), tiny_clip)
    cfg.custom_hooks = [dict(type='RetrievalReportHook', num_panels=2)]
    runner = Runner.from_cfg(cfg)
    runner.test()
    return runner


def test_the_image_is_in_the_report_and_the_visual_backends(tested):
    drawn = Image.open(f'{tested.log_dir}/query_panels.png').convert('RGB')
    stored = Image.open(f'{tested.log_dir}/vis_data/vis_image/query_panels_0.png')
    assert drawn.width > 1000 and np.array_equal(drawn, stored)


def test_panels_are_the_best_and_the_worst_with_what_the_test_found(tested):
    result, dataset = tested.test_loop.evaluator.metrics[0].result, tested.test_dataloader.dataset
    panels = result_panels(tested.model.eval(), result, dataset.__getitem__, count=2, k=3)
    captions = [result.captions.index(panel.query) for panel in panels]
    ranks, items = result.t2v_ranks[captions], result.caption_item[captions]
    assert ranks[0] == result.t2v_ranks.min() and ranks[-1] == result.t2v_ranks.max()
    assert ranks.tolist() == sorted(ranks.tolist()) and items[0] != items[1] and items[2] != items[3]
    for panel, caption in zip(panels, captions):
        found = [result.item_ids[position] for position in result.top_items[caption, :3]]
        assert [answer.label for answer in panel.answers] == found
        assert [answer.right for answer in panel.answers] == [
            item == result.item_ids[result.caption_item[caption]] for item in found]
        assert panel.note == f'rank {result.t2v_ranks[caption]:g} of 7'
        for answer in panel.answers:
            assert len(answer.frames) == len(answer.weights) and answer.weights.sum() == pytest.approx(1)
            sample = dataset[int(answer.label.removeprefix('clip'))]
            with torch.no_grad():
                visual = tested.model.encode_visual(sample['inputs'][None], sample['data_samples'].frame_mask[None])
                score = tested.model.similarity(tested.model.encode_text([panel.query]), visual).item()
            assert answer.score == pytest.approx(score, abs=1e-5)
