"""The report hook in real, tiny runs: a model of two linear maps on coloured images."""
import json
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from itertools import count

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import mmcma.engine  # noqa: F401
from mmcma.engine import retrieval_report
from mmcma.engine.hooks import retrieval_report_hook
from mmcma.engine.measured import Measured
from mmcma.evaluation import RetrievalMetric
from mmcma.registry import HOOKS
from mmcma.structures import Features, RetrievalSample
from mmcma.visualization.report_table import METRICS

NUMBERS = count()
WORDS = ('red', 'green', 'blue')


class Colours(Dataset):
    """Items of one colour with two captions, ``<script>`` in one of them."""
    metainfo = dict(dataset='Colours', split='test')

    def __init__(self, size: int, expected: int | None = None):
        self.size = size
        self.gallery = (size, expected or size)

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        torch.rand(1)  # a careless pipeline: moves the random generator of the main process
        generator = torch.Generator().manual_seed(index)
        colour = torch.randint(0, 255, (3,), generator=generator, dtype=torch.uint8)
        captions = [f'{" ".join(map(str, colour.tolist()))} <script>', f'{WORDS[colour.argmax()]} {index}']
        sample = RetrievalSample(item_id=f'colour-{index}', item_index=index, captions=captions,
                                 caption_kinds=['appearance', 'order'],
                                 frame_mask=torch.tensor([True, True, True, True, True, False]))
        return dict(inputs=colour[:, None, None].expand(6, 3, 8, 8).clone(), data_samples=sample)


class Twin(BaseModel):
    """Colours as they are, times a neck; the parts of a retriever that the hook asks for."""
    backbone_name = 'tiny/colours + /models/words'

    def __init__(self):
        super().__init__()
        self.tower = nn.Linear(3, 3).requires_grad_(False)
        self.neck = nn.Linear(3, 3)
        self.neck_is_on = True

    def backbone_fingerprint(self):
        return 'f00d'

    def trainable_parameters(self):
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    @contextmanager
    def zero_shot(self):
        self.neck_is_on = False
        yield
        self.neck_is_on = True

    def similarity(self, text, visual):
        return torch.cosine_similarity(text.pooled[:, None], visual.pooled[None], dim=-1)

    def encode(self, colours):
        features = self.tower(colours / 255 - 0.5)
        return features + self.neck(features) if self.neck_is_on else features

    def forward(self, inputs, data_samples, mode='tensor'):
        frames = torch.stack(inputs).float().mean((3, 4))  # (B, T, 3)
        if mode == 'loss':
            noise = torch.rand(len(frames), 3)  # training depends on the random generator
            return dict(loss=(self.encode(frames[:, 0]) - frames[:, 0] / 255 + 0.1 * noise).square().mean())
        for tokens, sample in zip(self.encode(frames), data_samples):
            sample.visual_tokens = tokens
            sample.text_pooled = torch.stack([self.words(caption) for caption in sample.captions])
        return data_samples

    @staticmethod
    def words(caption):
        if caption.endswith('<script>'):
            return torch.tensor([float(word) for word in caption.split()[:3]])
        return torch.eye(3)[WORDS.index(caption.split()[0])]


def make_runner(work_dir, *, hook=None, train=True, test_size=23, expected=None, val_expected=None,
                **kwargs) -> Runner:
    def loader(dataset):
        return dict(batch_size=4, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False),
                    collate_fn=dict(type='pseudo_collate'))

    torch.manual_seed(0)
    settings = dict(test_dataloader=loader(Colours(test_size, expected)),
                    test_cfg=dict(type='RetrievalTestLoop'), test_evaluator=dict(type='RetrievalMetric'))
    if train:
        settings.update(
            train_dataloader=loader(Colours(16)), train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
            val_dataloader=loader(Colours(9, val_expected)), val_cfg=dict(type='RetrievalValLoop'),
            val_evaluator=dict(type='RetrievalMetric'))
    settings.update(kwargs)
    hooks = dict(checkpoint=dict(type='CheckpointHook', save_best='t2v/R@1', rule='greater'),
                 logger=dict(type='LoggerHook', interval=100))
    return Runner(Twin(), str(work_dir), default_hooks=hooks, default_scope='mmcma',
                  experiment_name=f'{work_dir}-{next(NUMBERS)}',  # equal names share a message hub
                  custom_hooks=[] if hook is None else [dict(type='RetrievalReportHook', **hook)],
                  randomness=dict(seed=3), **{'log_level': 'ERROR', **settings})


def read(folder, name='report.json'):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Runner, folder and output of a training."""
    folder, output = tmp_path_factory.mktemp('trained'), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output):
        patch.chdir(folder)
        runner = make_runner(folder / 'run', hook=dict(num_hardest=3), expected=30)
        runner.train()
    return runner, folder / 'run', output.getvalue()


def test_report_of_a_training(trained):
    runner, folder, _ = trained
    report = read(folder)
    assert list(report['results']) == ['zero-shot', 'adapted']
    assert report['results']['adapted'] != report['results']['zero-shot']
    assert report['results']['adapted'].keys() == report['results']['zero-shot'].keys()
    assert report['gallery'] == dict(present=23, expected=30)
    assert all(result['gallery'] == '23 of 30' for result in report['results'].values())
    assert report['caption_kinds'] == ['appearance', 'order'] and report['folds'] == {}
    assert (report['num_items'], report['num_captions']) == (23, 46)
    assert report['protocols'] == dict(t2v='every_caption', v2t='best_caption')
    assert report['parameters'] == dict(trainable=12, total=24, share_percent=50)
    assert report['backbone'] == dict(name='tiny/colours + words', fingerprint='f00d')
    assert (report['dataset'], report['split'], report['seed']) == ('Colours', 'test', 3)
    assert report['checkpoint'].startswith('best_t2v_R@1_epoch_')
    rows = (folder / 'ranks.csv').read_text().splitlines()
    assert len(rows) == 47 and 'zero_shot_rank,adapted_rank' in rows[0]
    assert len((folder / 'ranks_v2t.csv').read_text().splitlines()) == 24
    assert set(report['seconds']) == {'training', 'zero-shot_test', 'adapted_test'}
    assert {'mmcma', 'torch', 'mmengine', 'transformers', 'python'} == set(report['versions'])
    assert str(folder) not in json.dumps(report)


def test_adapted_row_is_the_best_checkpoint(trained):
    runner, folder, _ = trained
    best = torch.load(runner.message_hub.get_info('best_ckpt'), weights_only=False)['state_dict']
    assert all(torch.equal(value, best[name]) for name, value in runner.model.state_dict().items())
    metrics = runner.test_loop.run()
    assert metrics == read(folder)['results']['adapted']


def test_page_and_plots(trained):
    _, folder, _ = trained
    page = (folder / 'report.html').read_text()
    report = read(folder)
    for text in ('zero-shot', 'adapted', 'appearance', 'order', '&lt;script&gt;', 'gallery: 23 of 30', 'not complete',
                 'f00d'):
        assert text in page, text
    assert '<script' not in page and 'http' not in page
    hardest = report['hardest_queries']
    assert len({query['item'] for query in hardest}) == len(hardest) == 3
    assert [query['rank'] for query in hardest] == sorted((query['rank'] for query in hardest), reverse=True)
    assert page.count('<figure class="right">') >= 3
    assert page.count('data:image/jpeg') == sum(1 + len(query['retrieved']) for query in hardest)
    assert 'loss and learning rate' in page and 'prefers-color-scheme: dark' in page
    for name in ('rank_histogram_t2v', 'rank_histogram_v2t', 'recall_by_kind', 'training'):
        assert (folder / f'{name}.png').read_bytes().startswith(b'\x89PNG')


def test_curves_have_every_step(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(retrieval_report, 'training_curves', lambda **curves: drawn.append(curves) or b'')
    make_runner(tmp_path / 'run', hook={}).train()
    (curves,) = drawn
    assert curves['rates'] == [0.05] * 8 and len(curves['loss']) == 8 and curves['loss'][-1] < curves['loss'][0]
    make_runner(tmp_path / 'run', hook={}, train=False, load_from=str(tmp_path / 'run' / 'epoch_2.pth')).test()
    assert len(drawn) == 1  # a test alone has none


def test_table_is_printed_once_with_where_things_lie(trained):
    _, _, output = trained
    table = output[output.index('Test, gallery: 23 of 30 items'):]
    assert output.count('gallery: 23 of 30') == 1
    for line in (('zero-shot', 'T2V'), ('adapted', 'T2V'), ('zero-shot', 'V2T'), ('adapted', 'V2T')):
        assert any(all(word in row for word in line) for row in table.splitlines())
    assert 'R@1 by kind' in table
    assert any(row.split() == ['report', 'run/report.html'] for row in table.splitlines())
    assert 'checkpoint  run/best' in table


def test_training_is_the_same_with_and_without_the_hook(tmp_path):
    states = []
    for number, hook in enumerate((None, {}, dict(zero_shot=False))):
        runner = make_runner(tmp_path / f'run{number}', hook=hook)
        runner.train()
        states.append(torch.load(tmp_path / f'run{number}' / 'epoch_2.pth', weights_only=False)['state_dict'])
    for state in states[1:]:
        assert all(torch.equal(value, state[name]) for name, value in states[0].items())
    assert list(read(tmp_path / 'run2')['results']) == ['adapted']


def test_zero_shot_row_is_the_model_without_its_neck(tmp_path):
    make_runner(tmp_path / 'run', hook={}).train()
    alone = make_runner(tmp_path / 'alone', train=False)
    with alone.model.zero_shot():
        expected = alone.test()
    assert read(tmp_path / 'run')['results']['zero-shot'] == expected == read(tmp_path / 'run',
                                                                             'zero_shot.json')['metrics']


def test_a_resumed_run_does_not_test_zero_shot_again(tmp_path, monkeypatch):
    folder = tmp_path / 'run'
    make_runner(folder, hook={}).train()
    tests = []
    evaluate = RetrievalMetric.evaluate
    monkeypatch.setattr(RetrievalMetric, 'evaluate',
                        lambda self, size: tests.append(size) or evaluate(self, size))
    before = read(folder)
    make_runner(folder, hook={}, resume=True).train()
    assert tests == [23]
    assert read(folder)['results'] == before['results']


def test_test_only_reports_a_single_row_beside_the_run(tmp_path, capsys):
    folder = tmp_path / 'run'
    make_runner(folder, hook={}).train()
    before = (folder / 'report.json').read_bytes()
    capsys.readouterr()
    runner = make_runner(folder, hook={}, train=False, load_from=str(folder / 'epoch_2.pth'))
    metrics = runner.test()
    assert capsys.readouterr().out.count('Test, gallery: 23 of 23') == 1
    own = tmp_path / 'run' / runner.timestamp
    assert read(own)['results'] == dict(adapted=metrics)
    assert read(own)['checkpoint'] == 'epoch_2.pth'
    assert (folder / 'report.json').read_bytes() == before


def test_a_shrunken_gallery_is_in_the_log_and_its_stores(tmp_path):
    folder = tmp_path / 'run'
    runner = make_runner(folder, hook={}, expected=30, val_expected=1500, log_level='INFO',
                         visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]))
    runner.train()
    log = (folder / runner.timestamp / f'{runner.timestamp}.log').read_text().splitlines()
    lines = [line for line in log if 'Epoch(val)' in line and 't2v/R@1' in line]
    assert len(lines) == 2 and all('gallery: 9 of 1,500' in line for line in lines)
    assert any('Epoch(test)' in line and 'gallery: 23 of 30' in line for line in log)
    scalars = (folder / runner.timestamp / 'vis_data' / 'scalars.json').read_text().splitlines()
    stored = [row for row in map(json.loads, scalars) if 't2v/R@1' in row]
    assert [(row['gallery/present'], row['gallery/expected']) for row in stored] == [(9, 1500)] * 2
    assert read(folder, 'zero_shot.json')['metrics']['gallery'] == '23 of 30'


def test_plots_say_the_gallery(trained, monkeypatch):
    runner, _, _ = trained
    titles = []
    monkeypatch.setattr(retrieval_report, 'rank_histogram', lambda ranks, candidates, title: titles.append(title))
    monkeypatch.setattr(retrieval_report, 'recall_by_kind', lambda recalls, title: titles.append(title))
    retrieval_report._plots({'adapted': Measured.of(runner.test_loop.evaluator.metrics[0].result, 1.0)})
    assert len(titles) == 3 and all(title.endswith('gallery: 23 of 30') for title in titles)


def test_folds_have_rows_of_their_own_and_are_no_kinds(tmp_path, capsys):
    runner = make_runner(tmp_path / 'run', hook={}, train=False, test_size=20,
                         test_evaluator=dict(type='RetrievalMetric', folds=2))
    metrics = runner.test()
    table, kinds = capsys.readouterr().out.split('R@1 by kind of caption')
    rows = [row.split() for row in table.splitlines() if '(mean of 2)' in row]
    assert [row[-6:] for row in rows] == [
        [direction.upper(), *(f'{metrics[f"{direction}/10/{key}"]:.1f}' for key in METRICS)]
        for direction in ('t2v', 'v2t')]
    assert all(' '.join(row[:5]) == 'zero-shot, 10 (mean of 2)' for row in rows)
    # The only rows below: one for each kind that the data marks.
    assert [row.split()[0] for row in kinds.splitlines() if row.split()[:1] in (['appearance'], ['order'], ['10'])] == [
        'appearance', 'order']
    report = read(tmp_path / 'run' / runner.timestamp)
    assert report['folds'] == {'10': 2} and report['caption_kinds'] == ['appearance', 'order']
    page = (tmp_path / 'run' / runner.timestamp / 'report.html').read_text()
    assert 'V2T, zero-shot, 10 (mean of 2)' in page and '<td>10</td>' not in page


def test_a_model_that_cannot_be_asked_has_a_report_without_panels(tmp_path):
    runner = make_runner(tmp_path / 'run', hook={}, train=False, log_level='INFO')
    runner.model.train()
    runner.test()
    folder = tmp_path / 'run' / runner.timestamp
    assert read(folder)['results'] and not (folder / 'query_panels.png').exists()
    log = (folder / f'{runner.timestamp}.log').read_text()
    assert "No query panels: AttributeError: 'Twin' object has no attribute 'encode_visual'" in log


def test_a_sharded_model_is_not_asked_by_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(retrieval_report_hook, 'FullyShardedDataParallel', Twin)
    monkeypatch.setattr(retrieval_report_hook, 'write_panels', lambda *args: pytest.fail('asked'))
    runner = make_runner(tmp_path / 'run', hook={}, train=False, log_level='INFO')
    metrics = runner.test()
    assert read(tmp_path / 'run' / runner.timestamp)['results'] == {'zero-shot': metrics}
    assert 'No query panels' not in (tmp_path / 'run' / runner.timestamp / f'{runner.timestamp}.log').read_text()


def test_a_zero_shot_row_of_another_gallery_is_left_out(tmp_path):
    folder = tmp_path / 'run'
    make_runner(folder, hook={}, expected=30).train()
    make_runner(folder, hook={}, resume=True, expected=40).train()
    assert list(read(folder)['results']) == ['adapted']


def test_runs_without_a_test_set_or_validation(tmp_path):
    make_runner(tmp_path / 'one', hook={}, test_dataloader=None, test_cfg=None, test_evaluator=None).train()
    assert not (tmp_path / 'one' / 'report.json').exists()
    make_runner(tmp_path / 'two', hook=dict(out_dir=str(tmp_path / 'out')), val_dataloader=None, val_cfg=None,
                val_evaluator=None).train()
    assert read(tmp_path / 'out')['checkpoint'] == 'epoch_2.pth'


def test_the_backbone_is_hashed_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(Twin, 'backbone_fingerprint', lambda self: calls.append(1) or 'f00d')
    runner = make_runner(tmp_path / 'run', hook={}, train=False)
    runner.register_hook(dict(type='FrozenParameterHook'))
    runner.test()
    assert len(calls) == 1
    assert read(tmp_path / 'run' / runner.timestamp)['backbone']['fingerprint'] == 'f00d'


def test_mode_and_random_state_are_put_back(tmp_path):
    runner = make_runner(tmp_path / 'run')
    runner.call_hook('before_run')
    hook = HOOKS.build(dict(type='RetrievalReportHook'))
    runner.model.train()
    state = torch.get_rng_state()
    hook.before_train(runner)
    assert runner.model.training and runner.model.neck_is_on
    assert torch.equal(torch.get_rng_state(), state)


def test_similarity_of_the_loop_accepts_features(tmp_path):
    runner = make_runner(tmp_path / 'run', train=False)
    runner.test()
    metric = runner.test_loop.evaluator.metrics[0]
    assert metric.dataset_gallery == (23, 23)
    assert metric.similarity(Features(torch.eye(3)), Features(torch.eye(3))).shape == (3, 3)
