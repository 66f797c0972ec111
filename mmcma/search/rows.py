"""A gallery's rows: one for each moment of a file, with what tells whether they are as they were written."""
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional as F

from mmcma.utils.errors import DataError


class Moment(NamedTuple):
    """A part of a file that was encoded: an image, a clip, or a window of a long video.

    Attributes:
        path: Of the file, relative to the gallery's root, with ``/``.
        start, end: Seconds; both 0 for an image.
        duration: Seconds of the file; 0 for an image.
        times: Seconds at which its n frames are shown, from the file's beginning.
        frames: Their embeddings, float16 ``(n, D)``.
        moments: How many of them the file has.
        digest: Digest of the file's content.
        size: Bytes of the file.
        modified: When it was last written, nanoseconds.
    """
    path: str
    start: float
    end: float
    duration: float
    times: list[float]
    frames: np.ndarray
    moments: int
    digest: str
    size: int
    modified: int


#: What the first stage and its filters look at, with the pooled vector; ``checksum`` is over these.
FACTS = ('path', 'start', 'end', 'duration', 'moments', 'digest', 'size', 'modified')
#: What the model's own similarity looks at; ``frames_checksum`` is over these.
DETAILS = ('times', 'frames')


def row_schema(width: int, fingerprint: str) -> pa.Schema:
    """The columns of the table, for embeddings of ``width`` values of the model with this fingerprint."""
    return pa.schema([
        ('path', pa.string()), ('start', pa.float64()), ('end', pa.float64()), ('duration', pa.float64()),
        ('moments', pa.int32()), ('digest', pa.string()), ('size', pa.int64()), ('modified', pa.int64()),
        ('vector', pa.list_(pa.float32(), width)), ('times', pa.list_(pa.float32())),
        ('frames', pa.list_(pa.list_(pa.float16(), width))),
        ('checksum', pa.uint32()), ('frames_checksum', pa.uint32()),
    ], metadata=dict(fingerprint=fingerprint, width=str(width)))


def first_stage_vectors(frames: Sequence[np.ndarray]) -> np.ndarray:
    """One vector of length 1 for each moment, float32 ``(moments, D)``: the mean of its normalised frames ``(n, D)``.

    Of the vectors that do not depend on the query it is the one whose ranking comes closest to that of
    similarities which weigh frames by it (docs/scale.md).
    """
    means = [F.normalize(torch.from_numpy(np.asarray(own, dtype=np.float32)), dim=-1).mean(dim=0) for own in frames]
    return F.normalize(torch.stack(means), dim=-1).numpy()


def to_table(moments: Sequence[Moment], schema: pa.Schema) -> pa.Table:
    """Moments as rows, at least one, with their vectors and checksums."""
    width = schema.field('vector').type.list_size
    values = np.concatenate([moment.frames for moment in moments])
    ends = np.cumsum([0, *(len(moment.frames) for moment in moments)], dtype=np.int32)
    columns = {name: pa.array([getattr(moment, name) for moment in moments], schema.field(name).type)
               for name in (*FACTS, 'times')}
    columns['vector'] = pa.FixedSizeListArray.from_arrays(
        pa.array(first_stage_vectors([moment.frames for moment in moments]).ravel()), width)
    columns['frames'] = pa.ListArray.from_arrays(
        pa.array(ends), pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width))
    columns['checksum'] = pa.array(checksums(columns[name] for name in (*FACTS, 'vector')), pa.uint32())
    columns['frames_checksum'] = pa.array(checksums(columns[name] for name in DETAILS), pa.uint32())
    return pa.table([columns[name] for name in schema.names], schema=schema)


def from_table(rows: pa.Table) -> list[Moment]:
    """The other way round.

    Raises:
        DataError: A row is not what was written.
    """
    moments: list[Moment] = []
    for batch in rows.to_batches():
        check_first_stage(batch)
        _check(batch, _intact(batch, DETAILS, 'frames_checksum'))
        frames = batch['frames']
        values = frames.flatten().flatten().to_numpy().reshape(-1, rows.schema.field('vector').type.list_size)
        ends = frames.offsets.to_numpy() - frames.offsets[0].as_py()
        facts = zip(*(batch[name].to_pylist() for name in (*FACTS, 'times')))
        for own, first, last in zip(facts, ends, ends[1:]):
            moments.append(Moment(**dict(zip((*FACTS, 'times'), own)), frames=values[first:last]))
    return moments


def check_first_stage(batch: pa.RecordBatch) -> int:
    """Compares what the first stage looks at with its checksums, and gives the sum of these.

    Raises:
        DataError: A row is not what was written.
    """
    _check(batch, _intact(batch, (*FACTS, 'vector'), 'checksum'))
    return sum(batch['checksum'].to_pylist())


def intact(batch: pa.RecordBatch) -> list[bool]:
    """Of each row, with all columns, whether it is what was written."""
    return [first and details for first, details in zip(_intact(batch, (*FACTS, 'vector'), 'checksum'),
                                                        _intact(batch, DETAILS, 'frames_checksum'))]


def _check(batch: pa.RecordBatch, fine: list[bool]) -> None:
    if not all(fine):
        path = batch['path'][fine.index(False)].as_py()
        raise DataError(f'the row of {path!r} is not what was written')


def _intact(batch: pa.RecordBatch, columns: Sequence[str], against: str) -> list[bool]:
    found = checksums(batch[name] for name in columns)
    return [own == written for own, written in zip(found, batch[against].to_pylist())]


def checksums(columns: Iterable[pa.Array]) -> list[int]:
    """CRC-32 of each row's bytes, column after column."""
    sums: list[int] = []
    for column in columns:
        ends, data = _bytes(column)
        sums = sums or [0] * len(column)
        sums = [zlib.crc32(data[first:last], crc) for crc, first, last in zip(sums, ends, ends[1:])]
    return sums


def _bytes(column: pa.Array) -> tuple[list[int], memoryview]:
    """Where each row's bytes begin and end, ``len(column) + 1`` places, and the bytes."""
    kind = column.type
    if pa.types.is_string(kind):
        ends = np.frombuffer(column.buffers()[1], np.int32)[column.offset:column.offset + len(column) + 1]
        return ends.tolist(), memoryview(column.buffers()[2] or b'')
    if pa.types.is_list(kind):
        inner, data = _bytes(column.flatten())
        ends = column.offsets.to_numpy() - column.offsets[0].as_py()
        return [inner[end] for end in ends], data
    if pa.types.is_fixed_size_list(kind):
        values, size = column.flatten().to_numpy(), kind.list_size * kind.value_type.bit_width // 8
    else:
        values, size = column.to_numpy(zero_copy_only=False), kind.bit_width // 8
    return list(range(0, size * (len(column) + 1), size)), np.ascontiguousarray(values).view(np.uint8).data
