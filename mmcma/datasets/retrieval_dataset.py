"""The base of all data sets: visual items with their captions."""
import bisect
import logging
import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmcma.datasets.annotations.items import ItemList, SplitSize, check_items
from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES, find_files, lies_elsewhere
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import ConfigError, DataError, MediaError, argument_error, did_you_mean, few, short


class RetrievalDataset(BaseDataset):
    """Visual items, each with all its captions.

    An item is ``dict(id=str, path=str, captions=list[str], start=float|None,
    end=float|None)``, times in seconds, and optionally ``caption_kinds``, a
    list parallel to ``captions``. In training a sample is one (item, caption)
    pair; in test mode it is one item with all its captions, so that each video
    is decoded and encoded once. The pipeline receives the item, its captions
    for this sample, and ``item_index``.

    A subclass for files as distributed sets ``SPLITS``, ``DATA_PREFIX`` and
    ``LAYOUT`` and writes ``read_items``; one that knows its files writes
    ``load_data_list`` instead.

    Args:
        split: Part of the data set, one of ``SPLITS``.
        ann_file: Replaces the file with the captions, relative to ``data_root``.
        data_root: Folder that ``ann_file`` and ``data_prefix`` are relative to.
        data_prefix: ``visual``, folder of the videos or images, and ``ann``,
            folder of the annotation files; what is not given is as in ``DATA_PREFIX``.
        pipeline: Transforms, from loading to ``PackRetrievalInputs``.
        test_mode: Samples are items and not (item, caption) pairs.
        on_error: An unreadable file is raised (``'raise'``) or replaced by the
            next readable pair with a warning (``'resample'``, training only).
            None means ``'raise'`` in test mode, else ``'resample'``.
        missing: Whether items without a file are an error (``'error'``) or left
            out (``'skip'``), which shows in ``gallery``.
        indices: Use these items only (the first n, for an int), as in ``BaseDataset``.
        max_refetch: After this many unreadable items in a row, give up.

    Raises:
        ConfigError: When an option has no such value.
        DataError: When files are missing or wrong; the message says what is expected.
    """
    #: Splits by name with their published sizes.
    SPLITS: dict[str, SplitSize] = {}
    #: Folders inside ``data_root``.
    DATA_PREFIX: dict[str, str] = dict(visual='')
    #: The files expected, with ``{ann}`` and ``{visual}`` for the folders.
    LAYOUT: Sequence[str] = ()
    #: Suffixes of the media files, best first.
    SUFFIXES: Sequence[str] = VIDEO_SUFFIXES
    #: Whether a file that is not where it should be is looked for by its name in all subfolders.
    BELOW = True
    #: What the annotation files list, its files there or not; None where ``load_data_list`` is the subclass's own.
    listed: SplitSize | None = None
    #: Ids of the listed items that ``missing='skip'`` left out.
    absent: Sequence[str] = ()

    def __init__(self, *, split: str = '', ann_file: str = '', data_root: str = '',
                 data_prefix: dict | None = None, pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False, on_error: str | None = None, missing: str = 'error',
                 metainfo: dict | None = None, indices: int | Sequence[int] | None = None,
                 serialize_data: bool = True, lazy_init: bool = False, max_refetch: int = 100) -> None:
        on_error = on_error or ('raise' if test_mode else 'resample')
        if self.SPLITS:
            self._check_option('split', split, list(self.SPLITS))
        self._check_option('missing', missing, ['error', 'skip'])
        self._check_option('on_error', on_error, ['raise', 'resample'])
        if test_mode and on_error == 'resample':
            raise ConfigError(f"{type(self).__name__}: on_error='resample' would put another item twice into "
                              "a test set; use 'raise', and to go on without a broken file remove it and "
                              "set missing='skip'")
        self.split, self.on_error, self.missing = split, on_error, missing
        self._unreadable: set[int] = set()
        self._files_read: list[str] = []
        super().__init__(
            ann_file=ann_file, metainfo=metainfo, data_root=data_root or '',
            data_prefix={**self.DATA_PREFIX, **(data_prefix or {})},
            # Built here, so that our transforms are found without a default scope too.
            pipeline=[TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline],
            indices=indices, serialize_data=serialize_data, test_mode=test_mode, lazy_init=True,
            max_refetch=max_refetch)
        # After super(): it would look for a file called 'train'.
        self._metainfo = {'dataset': type(self).__name__, 'split': split, **self.metainfo}
        if not lazy_init:
            self.full_init()

    def _check_option(self, name: str, value: Any, known: list[str]) -> None:
        if value not in known:
            raise argument_error(self, name, value, f'is none of {known}.{did_you_mean(str(value), known)}')

    @property
    def title(self) -> str:
        """Name and split, for messages."""
        return f'{type(self).__name__} {self.split}'.strip()

    # ---- the list of items ----

    def read_items(self) -> list[dict]:
        """``dict(id=..., captions=[...])`` of every item that the split lists, its file there or not.

        ``path``, relative to the folder ``visual``, joins them where the id is not the file's name.
        """
        raise NotImplementedError(f'{type(self).__name__} has neither read_items nor load_data_list')

    def file_names(self, item: dict) -> Sequence[str]:
        """What the file of an item may be called, the likeliest first."""
        path = item.get('path', item['id'])
        return list(dict.fromkeys([path, path.rpartition('/')[2]] if self.BELOW else [path]))

    def load_data_list(self) -> list[dict]:
        """The items of the split whose files exist."""
        items = self.read_items()
        self._compare_with_standard(items)
        return self._find_media(items)

    def annotation(self, *names: str) -> Path:
        """The first annotation file of these names (or with ``.gz``) in the folder ``data_prefix['ann']``.

        Raises:
            DataError: When there is none, with the layout expected.
        """
        path = self.annotation_if_there(*names)
        if path is None:
            raise self._not_there(Path(self.data_prefix.get('ann', self.data_root), names[0]), 'ann', names)
        self._files_read.append(str(path))
        return path

    def annotation_if_there(self, *names: str) -> Path | None:
        """:meth:`annotation`, or None."""
        folder = Path(self.data_prefix.get('ann', self.data_root))
        paths = (folder / f'{name}{suffix}' for name in names for suffix in ('', '.gz'))
        return next((path for path in paths if os.path.isfile(path)), None)

    def caption_file(self, *names: str) -> Path:
        """``ann_file`` if the config names one, else the first annotation file of these names."""
        if not self.ann_file:
            return self.annotation(*names)
        if not os.path.isfile(self.ann_file):
            raise self._not_there(Path(self.ann_file), 'ann', [os.path.basename(self.ann_file)])
        self._files_read.append(self.ann_file)
        return Path(self.ann_file)

    def _not_there(self, path: Path, key: str, names: Sequence[str]) -> DataError:
        """The error that says what is expected, and where ``names``, which lie in the folder ``key``, are instead."""
        root = self.data_root
        lost = root and not os.path.isdir(root)
        what = f'data_root {root!r} is not a folder' if lost else f'{path}: no such file or folder'
        folders = {key: str(Path(prefix)) for key, prefix in self.data_prefix.items()}
        layout = ', '.join(line.format(**folders) for line in self.LAYOUT)
        return DataError(f'{what}; {self.title} expects {layout or path}. Put the files there, or set data_root (now '
                         f'{root!r}) or data_prefix.{lies_elsewhere(root, self.SUFFIXES, names, key)}')

    def _compare_with_standard(self, items: list[dict]) -> None:
        standard = self.SPLITS.get(self.split)
        captions = sum(len(item['captions']) for item in items)
        self.listed = SplitSize(len(items), captions)
        if standard is None or standard == self.listed:
            return
        message = (f'{self.title} lists {len(items):,} items and {captions:,} captions; the published split '
                   f'has {standard.items:,} and {standard.captions:,}')
        twin = next((name for name, other in self.SPLITS.items()
                     if other.items == len(items) != standard.items), None)
        if twin and self.missing == 'error':
            raise DataError(f'{message}. It is the size of {twin!r}: is that list in the place of this one '
                            f"(folder {self.data_prefix.get('ann', self.data_root)})?")
        print_log(message, logger='current', level=logging.WARNING)

    def _find_media(self, items: list[dict]) -> list[dict]:
        """Add ``path`` to each item; items without a file are an error, or left out."""
        folder, names = Path(self.data_prefix['visual']), [self.file_names(item) for item in items]
        if not os.path.isdir(folder):
            raise self._not_there(folder, 'visual', [own[0] for own in names[:100]])
        paths = find_files(folder, self.SUFFIXES, names, below=self.BELOW)
        found = [{'start': None, 'end': None, **item, 'path': path} for item, path in zip(items, paths) if path]
        if len(found) == len(items):
            return found
        self.absent = [item['id'] for item, path in zip(items, paths) if path is None]
        message = (f"{self.title}: {len(self.absent):,} of {len(items):,} items have no file in {folder}"
                   f"{' or below' if self.BELOW else ''}, e.g. {few(self.absent)}")
        if self.missing == 'error' or not found:
            remedy = f"or set missing='skip' to go on with the {len(found):,} there are" if found else \
                'or set data_prefix'
            elsewhere = lies_elsewhere(self.data_root, self.SUFFIXES, self.absent[:100], 'visual')
            raise DataError(f"{message}. A file is found by id, as one of {' '.join(self.SUFFIXES)} or a folder of "
                            f'frames. Complete the folder, {remedy}.{elsewhere}')
        print_log(f"{message} (missing='skip': going on with {len(found):,})", logger='current',
                  level=logging.WARNING)
        return found

    def full_init(self) -> None:
        """Read the annotations and index the captions, once."""
        if self._fully_initialized:
            return
        super().full_init()
        self._index_captions()

    def filter_data(self) -> list[dict]:
        """Check what every reader must deliver; nothing is dropped."""
        check_items(self.data_list, self.title, ' and '.join(self._files_read))
        standard = self.SPLITS.get(self.split) or self.listed
        self._expected = standard.items if standard else len(self.data_list)
        return self.data_list

    def _index_captions(self) -> None:
        #: ``_ends[i]``: captions in the items up to and including item i.
        self._ends = list(accumulate(len(item['captions']) for item in self.items))

    # ---- access ----

    @property
    def items(self) -> ItemList:
        """All items; the position is the ``item_index`` of the samples."""
        self.full_init()
        return ItemList(self)

    @property
    def num_captions(self) -> int:
        """Captions of all items together."""
        self.full_init()
        return self._ends[-1]

    @property
    def gallery(self) -> tuple[int, int]:
        """Items present, and items that the protocol has."""
        return len(self.items), self._expected

    def __len__(self) -> int:
        return len(self.items) if self.test_mode else self.num_captions

    def get_data_info(self, idx: int) -> dict:
        """The fields that the pipeline receives for sample ``idx``."""
        idx = range(len(self))[idx]
        if self.test_mode:
            return dict(self.items[idx], item_index=idx, sample_idx=idx)
        index = self._item_of(idx)
        item = self.items[index]
        which = idx - self._ends[index]  # counted from the end of the item's captions: negative
        for key in ('captions', 'caption_kinds', 'caption_times'):
            if key in item:
                item[key] = [item[key][which]]
        return dict(item, item_index=index, sample_idx=idx)

    def _item_of(self, idx: int) -> int:
        return idx if self.test_mode else bisect.bisect_right(self._ends, idx)

    def __getitem__(self, idx: int) -> dict:
        idx = range(len(self))[idx]  # an IndexError beyond the end is what ends an iteration
        return self._load(idx) if self.on_error == 'raise' else self._load_next_readable(idx)

    def _load(self, idx: int) -> dict:
        try:
            data = self.prepare_data(idx)
        except MediaError as error:
            item = self.items[self._item_of(idx)]
            raise MediaError(f"{self.title}, item {short(item['id'])}: {error}") from error
        if data is None:
            raise MediaError(f'{self.title}, sample {idx}: the pipeline returned None')
        return data

    def _load_next_readable(self, idx: int) -> dict:
        """Sample ``idx``, or if its file is broken the first after it whose file is not."""
        failures = 0
        for candidate in ((idx + offset) % len(self) for offset in range(len(self))):
            item = self._item_of(candidate)
            if item in self._unreadable:
                continue
            try:
                return self._load(candidate)
            except MediaError as error:
                self._unreadable.add(item)
                failures += 1
                print_log(f'{error}; another sample takes its place ({len(self._unreadable)} unreadable in this '
                          'process so far)', logger='current', level=logging.WARNING)
                if failures >= self.max_refetch:
                    raise MediaError(f'{error}; {failures} unreadable items in a row, giving up') from error
        raise MediaError(f'{self.title}: none of its {len(self.items)} items can be read; see the warnings')

    # ---- subsets count in items ----

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep these items only (the first or last n, for an int)."""
        super().get_subset_(indices)
        self._index_captions()

    def get_subset(self, indices: Sequence[int] | int) -> 'RetrievalDataset':
        """A copy with these items only."""
        subset = super().get_subset(indices)
        subset._index_captions()
        return subset
