"""The benchmark's sub-commands of scores, tests and ranks, in smallest sizes. No time decides anything here."""
import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmcma.utils.errors import DataError


class Here:
    """Like ``IsolatedProcess``, but in this process."""

    def __init__(self, factory, *args) -> None:
        self._own = factory(*args)

    def call(self, method, *args):
        return getattr(self._own, method)(*args)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info) -> None:
        pass


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    from benchmarks import evaluation, gallery, scaling, similarity
    for module in (evaluation, gallery, scaling, similarity):
        monkeypatch.setattr(module, 'IsolatedProcess', Here)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a sub-command in smallest sizes; what it saved."""
    def run(name: str, *arguments: str) -> dict:
        import benchmark
        out = tmp_path / f'{name}.json'
        monkeypatch.setattr(sys, 'argv', ['benchmark.py', name, '--tiny', '--rounds', '2', '--out', str(out),
                                          *arguments])
        benchmark.main()
        return json.loads(out.read_text())
    return run


def test_similarity(run, capsys):
    found = run('similarity')['similarity']
    assert list(found['ways']) == ['plain', 'ours'] and found['error'] < 1e-5
    assert len(found['ways']['ours']['raw_seconds']) == 2
    assert found['large']['error'] < 1e-5 and found['large']['pooled_videos_bytes'] == 4 * 50 * 50 * 512
    assert capsys.readouterr().out.count('cosines agree') == 2


def test_similarity_is_not_timed_where_it_is_another(run, monkeypatch):
    from benchmarks import similarity
    monkeypatch.setattr(similarity, 'TEMPERATURE', 4.0)  # of the plain formula alone
    monkeypatch.setattr(similarity, 'race', lambda *args, **kwargs: pytest.fail('timed'))
    with pytest.raises(DataError, match='ours: cosines is off by'):
        run('similarity')


def test_gallery(run, capsys):
    found = run('gallery')['gallery']
    assert 'all ranks of 1,500 x 1,500 are those of the sorted matrix' in capsys.readouterr().out
    assert found['process_bytes'] >= found['before_bytes'] and found['matrix_bytes'] == 4 * 600**2
    assert 1 <= found['metrics']['t2v/MnR'] < 300


def test_gallery_is_not_measured_with_wrong_ranks(run, monkeypatch):
    from benchmarks import gallery
    right = gallery.retrieval_ranks
    monkeypatch.setattr(gallery, 'retrieval_ranks', lambda *args, **kwargs: right(
        *args, **kwargs)._replace(v2t=torch.ones(1500)))
    with pytest.raises(DataError, match=r'\d+ ranks of 1500 x 1500'):
        run('gallery')


@pytest.mark.slow
def test_evaluation_alone(run):
    found = run('eval')['eval']
    assert 'released' not in found and found['ours']['seconds']['median'] > 0
    assert found['ours']['metrics'] == found['ours, cached']['metrics']
    assert 1 <= found['ours']['metrics']['v2t/MnR'] <= 6


def arguments(**changes) -> argparse.Namespace:
    return argparse.Namespace(**{**dict(videos=670, captions=27763, share=0.1, official=Path('x')), **changes})


def test_times_of_a_share_are_scaled_by_what_they_grow_with():
    from benchmarks.evaluation import share_of, summarise
    assert share_of(arguments(videos=10, captions=42, share=0.4)) == (4, 18)  # the first two have five captions
    args = arguments(videos=10, captions=40, share=0.5)
    results = {name: [dict(seconds=seconds, metrics={})] for name, seconds in (
        ('ours', 1.5), ('ours, cached', 1.0),
        ('released', {'frames and features': 3.0, 'similarity': 2.0, 'metrics': 1.0}))}
    found = summarise(args, results)
    assert found['released']['scaled'] and found['released']['seconds_by_part'] == {
        'frames and features': 6.0, 'similarity': 8.0, 'metrics': 4.0}
    assert found['released']['seconds']['median'] == 18
    assert [found[name]['times_as_fast']['median'] for name in ('ours', 'ours, cached')] == [12, 18]
    assert not summarise(arguments(share=1), results)['released']['scaled']


def test_figures_that_differ_are_not_timed(monkeypatch, tmp_path):
    from benchmarks import evaluation

    class Side:
        def __init__(self, *args) -> None:
            self.value = float(len(args))

        def test(self) -> dict:
            return dict(metrics={'t2v/R@1': self.value})

    monkeypatch.setattr(evaluation, 'OurTest', Side)
    monkeypatch.setattr(evaluation, 'ReleasedTest', Side)
    with pytest.raises(DataError, match=r't2v/R@1 is 2.000 by ours and 4.000 by the released'):
        evaluation.compare(arguments(batch=16), tmp_path)


def test_a_line_and_how_far_points_are_off_it():
    from benchmarks.scaling import fit
    straight = fit([1, 2, 4], [3.0, 5.0, 9.0])
    assert straight['slope'] == pytest.approx(2) and straight['start'] == pytest.approx(1)
    assert straight['off'] == pytest.approx(0, abs=1e-9)
    assert fit([1, 2, 3], [1.0, 4.0, 9.0])['off'] == pytest.approx(2 / 3 / 9)  # nearest line: 4 x - 10 / 3


@pytest.mark.slow
def test_scaling(run, tmp_path):
    found = run('scaling', '--curves', 'gallery', 'adapters', 'loss', '--plots', str(tmp_path / 'plots'))
    assert found['scaling gallery']['x'] == pytest.approx([0.01, 0.04, 0.09])
    assert [len(curve['points']) for curve in found.values()] == [3, 3, 3]
    assert sorted(path.name for path in (tmp_path / 'plots').iterdir()) == ['adapters.png', 'gallery.png', 'loss.png']


def test_loss_in_chunks_has_the_gradients_of_the_whole(monkeypatch):
    from benchmarks import scaling
    monkeypatch.setattr(scaling.chunks, 'VALUES_AT_ONCE', 500)
    losses = []
    for tiled in (True, False):
        losses.append(scaling.Loss(12, 3, 8, tiled))  # the second one lifts the limit
        losses[-1].work()
    for part in ('text', 'frames'):
        gradients = [getattr(one, part).grad for one in losses]
        assert gradients[0].any()
        torch.testing.assert_close(*gradients)


@pytest.fixture
def official() -> Path:
    """Checkout of the released code; the test is skipped where MMCMA_OFFICIAL names none."""
    if not os.environ.get('MMCMA_OFFICIAL'):
        pytest.skip('MMCMA_OFFICIAL names no checkout of the released code')
    return Path(os.environ['MMCMA_OFFICIAL'])


def test_the_released_code_agrees(official, tmp_path, monkeypatch):
    from benchmarks.core import IsolatedProcess
    from benchmarks.released_test import ReleasedTest
    from benchmarks.similarity import OurScores, ReleasedScores
    from benchmarks.test_set import OurTest, write_test_set
    with IsolatedProcess(ReleasedScores, official, 5, 3, 16) as theirs:
        np.testing.assert_allclose(OurScores(5, 3, 16).scores(), theirs.call('scores'), atol=1e-6)
    write_test_set(tmp_path, 4, 9)
    with IsolatedProcess(ReleasedTest, official, tmp_path, 4, 2) as theirs:
        assert OurTest(tmp_path, 4).test()['metrics'] == pytest.approx(theirs.call('test')['metrics'], abs=1e-3)


def test_the_loss_is_computed_in_chunks_or_in_one_piece(monkeypatch):
    from benchmarks.scaling import Loss

    from mmcma.models.similarities import chunks
    calls = []
    monkeypatch.setattr(chunks, 'checkpoint', lambda score, *features, **_: calls.append(1) or score(*features))
    monkeypatch.setattr(chunks, 'VALUES_AT_ONCE', 1)
    Loss(pairs=5, frames=2, dim=4, tiled=True).work()
    assert len(calls) == 5
    Loss(pairs=5, frames=2, dim=4, tiled=False).work()
    assert len(calls) == 5


def test_search_in_a_random_gallery(run):
    pytest.importorskip('milvus_lite')
    found = run('search', '--dim', '16', '--frames', '2', '--rerank', '5')['speed of 50']
    assert found['items'] == 50 and found['both_stages']['median_ms'] >= 0
    assert found['bytes_per_item'].keys() == {'frames', 'vectors.db'}


def test_recall_of_the_first_stage_by_hand():
    from benchmarks.search import recall
    exact = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    order = torch.tensor([[0, 2, 1], [0, 1, 2]])
    assert [recall(exact, order, k, best) for k, best in ((1, 1), (2, 2), (2, 3))] == [0.5, 0.5, 1.0]
