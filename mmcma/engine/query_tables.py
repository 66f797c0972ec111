"""What became of each query, as tables for spreadsheets and pandas."""
import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from mmcma.engine.measured import Measured
from mmcma.evaluation import RetrievalResult


def query_tables(measured: Mapping[str, Measured], result: RetrievalResult) -> dict[str, bytes]:
    """``ranks.csv``, a row for each caption, and ``ranks_v2t.csv``, a row for each item: UTF-8 with a line of names.

    Every result has columns of its own, as ``zero_shot_rank`` and ``adapted_rank``:

    * ``rank``: of the right answer, from 1 up; halves where ties are. In ``ranks_v2t.csv`` by the protocol.
    * ``first``: the item that was found first; in ``ranks_v2t.csv`` the caption, and ``first_item``, whose it is.
      Of equal scores it is the earlier of the test set.
    * ``caption``, in ``ranks_v2t.csv`` only: the item's own caption that scores best.
    * ``score``, ``first_score``: of the right answer and of what was found first, by the model's similarity before the
      logit scale, to six decimals.

    Args:
        measured: Result name -> test, all of the test set of ``result``.
        result: Whose ids, captions and kinds stand in the rows.
    """
    ids, captions = result.item_ids, result.captions
    caption_item = result.caption_item.tolist()
    t2v, v2t = ({name: dict(of.answers[direction], rank=of.ranks[direction]) for name, of in measured.items()}
                for direction in ('t2v', 'v2t'))
    for of in t2v.values():
        of['first'] = [ids[item] for item in of['first']]
    for of in v2t.values():
        of['first_item'] = [ids[caption_item[caption]] for caption in of['first']]
        of.update((name, [captions[caption] for caption in of[name]]) for name in ('first', 'caption'))
    kinds = result.caption_kinds or [None] * len(captions)
    return {'ranks.csv': _table(dict(caption=captions, item=[ids[item] for item in caption_item], kind=kinds), t2v,
                                ('rank', 'first', 'score', 'first_score')),
            'ranks_v2t.csv': _table(dict(item=ids), v2t,
                                    ('rank', 'caption', 'first', 'first_item', 'score', 'first_score'))}


def _table(columns: Mapping[str, Sequence], results: Mapping[str, Mapping[str, Sequence]],
           keys: Iterable[str]) -> bytes:
    """CSV of ``columns`` and, key after key, of that column of every result."""
    columns = dict(columns)
    for key in keys:
        columns.update((f'{name.replace("-", "_")}_{key}', of[key]) for name, of in results.items())
    text = StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()
