"""The released code's test."""
import io
import json
import logging
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import torch
from transformers import AutoTokenizer

from benchmarks.released import released_model
from benchmarks.test_set import FIGURES, FRAMES, SIZE

WORDS = 32
THEIR_NAMES = dict(zip(FIGURES, ('R1', 'R5', 'R10', 'MeanR')))


class ReleasedTest:
    """The released code's ``eval_epoch`` on its own loader, as it stands.

    Three things had to be added. It has no reader for a test set with several captions a video, only the branch of
    ``eval_epoch`` for one: a reader gives it what that branch expects. The tokenizer is the small CLIP's, whose words
    are not those of its own. ``np.float``, which NumPy has dropped, is float.

    Args:
        checkout: The released code.
        folder: Written by :func:`~benchmarks.test_set.write_test_set`.
        videos: Only the first of them.
        batch: Captions at a time; 16 is its default.
    """

    def __init__(self, checkout: Path, folder: Path, videos: int, batch: int) -> None:
        self.model = released_model(checkout, folder).eval()
        np.float = float
        # Its own tokenizer, which is imported and not used, wants it.
        sys.modules.setdefault('ftfy', MagicMock(__spec__=ModuleSpec('ftfy', None)))
        import train
        self.train, train.logger, train.run_obj = train, logging.getLogger('released'), MagicMock()
        self._loader = torch.utils.data.DataLoader(_data(folder, videos), batch_size=batch)
        self._seconds = {}
        self._watch('similarity', '_run_on_single_gpu')
        for name in ('tensor_text_to_video_metrics', 'tensor_video_to_text_sim', 'compute_metrics'):
            self._watch('metrics', name)

    def _watch(self, part: str, name: str) -> None:
        function = getattr(self.train, name)

        def watched(*args):
            began = time.perf_counter()
            result = function(*args)
            self._seconds[part] += time.perf_counter() - began
            return result
        setattr(self.train, name, watched)

    def test(self) -> dict:
        """``seconds`` of each part: ``frames and features``, ``similarity``, ``metrics``; and the ``metrics``."""
        self._seconds.update(similarity=0.0, metrics=0.0)
        began = time.perf_counter()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # a bar, and a line for every batch
            self.train.eval_epoch(None, self.model, self._loader, torch.device('cpu'), 0)
        rest = time.perf_counter() - began - sum(self._seconds.values())
        found = self.train.run_obj.write.call_args.kwargs['eval_metrics']
        return dict(seconds={'frames and features': rest, **self._seconds}, metrics={
            f'{direction}/{key}': float(found[f'{prefix}_{theirs}'])
            for direction, prefix in (('t2v', 'tv'), ('v2t', 'vt')) for key, theirs in THEIR_NAMES.items()})


def _data(folder: Path, videos: int):
    """The released data set of the first videos, a sample for each caption."""
    from dataloaders_drl.dataloader_retrieval_images import RetrievalDataset
    lines = [json.loads(line) for line in (folder / 'test.jsonl').read_text().splitlines()[:videos]]
    ends = np.cumsum([len(line['captions']) for line in lines]).tolist()

    class Clips(RetrievalDataset):
        # What eval_epoch's branch for several captions a video asks for.
        multi_sentence_per_video, cut_off_points, sentence_num, video_num = True, ends, ends[-1], len(lines)

        def _get_anns(self, subset):
            captions = [(line['path'], (caption, None, None)) for line in lines for caption in line['captions']]
            return ({line['path']: str(folder / 'videos' / line['path']) for line in lines},
                    dict(enumerate(captions)))

    settings = SimpleNamespace(train_augment=False, horizontal_flip=False, debug=0, mq_test=0)
    with redirect_stdout(None):
        return Clips('test', None, None, AutoTokenizer.from_pretrained(folder / 'clip'), max_words=WORDS,
                     max_frames=FRAMES, image_resolution=SIZE, config=settings)
