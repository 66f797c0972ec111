"""Moments as rows of a table and back, and what tells that a row is another."""
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcma.search.rows import Moment, check_first_stage, checksums, first_stage_vectors, from_table, intact, row_schema
from mmcma.search.rows import to_table as rows_of
from mmcma.utils.errors import DataError

SCHEMA = row_schema(4, 'f' * 32)
SECONDS = st.floats(0, 1e5, width=32)


@st.composite
def moments(draw) -> Moment:
    times = draw(st.lists(SECONDS, min_size=1, max_size=3))
    frames = np.array(draw(st.lists(st.floats(-6, 6, width=16), min_size=4 * len(times), max_size=4 * len(times))))
    return Moment(draw(st.text(st.characters(codec='utf-8'))), draw(SECONDS), draw(SECONDS), draw(SECONDS), times,
                  frames.astype(np.float16).reshape(-1, 4), draw(st.integers(1, 9)), draw(st.text('0123456789abcdef')),
                  draw(st.integers(0, 2**60)), draw(st.integers(-2**60, 2**60)))


def listed(moment: Moment) -> Moment:
    return moment._replace(frames=moment.frames.tolist())


@given(st.lists(moments(), min_size=1, max_size=5), st.data())
def test_rows_come_back_and_another_value_anywhere_is_noticed(own, data):
    table = rows_of(own, SCHEMA)
    assert [listed(moment) for moment in from_table(table)] == [listed(moment) for moment in own]
    place = data.draw(st.integers(0, len(own) - 1))
    assert [listed(moment) for moment in from_table(table.slice(place))] == [listed(moment) for moment in own[place:]]
    name = data.draw(st.sampled_from(Moment._fields))
    value = getattr(own[place], name)
    other = [*own[:place], own[place]._replace(**{name: changed(value)}), *own[place + 1:]]
    mixed = rows_of(other, SCHEMA)
    for column in ('checksum', 'frames_checksum'):
        mixed = mixed.set_column(mixed.schema.get_field_index(column), SCHEMA.field(column), table[column])
    batch, = mixed.combine_chunks().to_batches()
    assert [number for number, fine in enumerate(intact(batch)) if not fine] == [place]
    with pytest.raises(DataError, match='is not what was written'):
        from_table(mixed)


def changed(value):
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.view(np.uint16)[0, 0] ^= 1
        return value
    return value[:-1] + [value[-1] + 1] if isinstance(value, list) else value + ('x' if isinstance(value, str) else 1)


def test_checksums_by_hand():
    columns = [pa.array(['ab', '', 'c']), pa.array([1, 2, 3], pa.int32()), pa.array([[1.0], [], [2.0, 3.0]],
                                                                                    pa.list_(pa.float32()))]
    bytes_of = [b'ab' + np.int32(1).tobytes() + np.float32(1).tobytes(), np.int32(2).tobytes(),
                b'c' + np.int32(3).tobytes() + np.array([2, 3], np.float32).tobytes()]
    assert checksums(columns) == [zlib.crc32(own) for own in bytes_of]


def test_the_sum_of_the_checksums():
    own = [Moment('a.png', 0.0, 0.0, 0.0, [0.0], np.ones((1, 4), np.float16), 1, 'd', 3, 4)] * 2
    batch, = rows_of(own, SCHEMA).to_batches()
    assert check_first_stage(batch) == 2 * batch['checksum'][0].as_py()


def test_the_first_stage_by_hand():
    """The mean of the directions (1, 0) and (0, 1), whatever their lengths."""
    vector, = first_stage_vectors([np.array([[3, 0], [0, 5]], np.float16)])
    np.testing.assert_allclose(vector, [0.5**0.5, 0.5**0.5], atol=1e-6)
