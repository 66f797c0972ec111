"""The benchmark's sub-commands of scores, tests and ranks, in smallest sizes. No time decides anything here."""
import json
import sys

import pytest
import torch
from helpers.one_process import in_this_process

from mmcma.utils.errors import DataError


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    from benchmarks import core, scaling
    for module in (core, scaling):
        monkeypatch.setattr(module, 'isolated', in_this_process)


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
    assert list(found['ways']) == ['plain', 'ours'] and len(found['ways']['ours']['raw_seconds']) == 2
    assert found['settings']['size'] == 50 and found['ways']['ours']['process_bytes'] > 0
    assert capsys.readouterr().out.count('ours agrees with plain, off by') == 2


def test_similarity_is_not_timed_where_it_is_another(run, monkeypatch):
    from benchmarks import scores, workloads
    similarity = workloads.QueryScore
    monkeypatch.setattr(workloads, 'QueryScore', lambda temperature: similarity(temperature=temperature - 1))
    monkeypatch.setattr(scores, 'race_costs', lambda *args, **kwargs: pytest.fail('timed'))
    with pytest.raises(DataError, match='ours is off by'):
        run('similarity')


def test_gallery(run, capsys):
    found = run('gallery')['gallery']
    printed = capsys.readouterr().out
    assert 'ours agrees with plain, off by 0' in printed and 'compared at 1,500 x 1,500' in printed
    assert list(found['ways']) == ['ours'] and found['ways']['ours']['process_bytes'] > 0


def test_gallery_is_not_measured_with_wrong_ranks(run, monkeypatch):
    from benchmarks import workloads
    right = workloads.retrieval_ranks

    def one_wrong(*args, **kwargs):
        ranks = right(*args, **kwargs)
        ranks.v2t[7] += 1
        return ranks

    monkeypatch.setattr(workloads, 'retrieval_ranks', one_wrong)
    with pytest.raises(DataError, match='ours is off by'):
        run('gallery')


def test_ranks_by_sorting_by_hand(monkeypatch):
    from benchmarks import workloads
    text, visual = torch.tensor([[1.0, 0.0], [0.9, 0.8]]), torch.eye(2)
    monkeypatch.setattr(workloads, 'vectors', lambda size, dim: (text, visual))
    # Text 1 is nearer to item 0 and is its second rival; columns: own item, own text, items from best to worst.
    assert workloads.sorted_ranks(2, 2)().tolist() == [[1, 1, 0, 1], [2, 1, 0, 1]]


def test_a_line_and_how_far_points_are_off_it():
    from benchmarks.scaling import fit
    straight = fit([1, 2, 4], [3.0, 5.0, 9.0])
    assert straight['slope'] == pytest.approx(2) and straight['start'] == pytest.approx(1)
    assert straight['off'] == pytest.approx(0, abs=1e-9)
    assert fit([1, 2, 3], [1.0, 4.0, 9.0])['off'] == pytest.approx(2 / 3 / 9)  # nearest line: 4 x - 10 / 3


@pytest.mark.slow
def test_scaling(run):
    found = run('scaling', '--curves', 'gallery', 'adapters', 'loss')
    assert found['scaling gallery']['x'] == pytest.approx([0.01, 0.04, 0.09])
    assert [len(curve['points']) for curve in found.values()] == [3, 3, 3]


def test_loss_in_chunks_has_the_gradients_of_the_whole(monkeypatch):
    from benchmarks import workloads
    monkeypatch.setattr(workloads.chunks, 'VALUES_AT_ONCE', 500)
    # The second one lifts the limit.
    for tiled, whole in zip(*(workloads.loss(12, 3, 8, tiled)() for tiled in (True, False))):
        assert tiled.any()
        torch.testing.assert_close(tiled, whole)


def test_the_loss_is_computed_in_chunks_or_in_one_piece(monkeypatch):
    from benchmarks.workloads import loss

    from mmcma.models.similarities import chunks
    calls = []
    monkeypatch.setattr(chunks, 'checkpoint', lambda score, *features, **_: calls.append(1) or score(*features))
    monkeypatch.setattr(chunks, 'VALUES_AT_ONCE', 1)
    loss(pairs=5, frames=2, dim=4, tiled=True)()
    assert len(calls) == 5
    loss(pairs=5, frames=2, dim=4, tiled=False)()
    assert len(calls) == 5


def test_search_in_a_random_gallery(run):
    found = run('search', '--dim', '16', '--frames', '2', '--rerank', '5')['speed of 50']
    assert found['settings']['items'] == 50 and found['both stages']['seconds']['median'] > 0
    assert found['bytes_per_item'] > 16 * (4 + 2 * 2)


def test_recall_of_the_first_stage_by_hand():
    from benchmarks.search import recall
    exact = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    order = torch.tensor([[0, 2, 1], [0, 1, 2]])
    assert [recall(exact, order, k, best) for k, best in ((1, 1), (2, 2), (2, 3))] == [0.5, 0.5, 1.0]
