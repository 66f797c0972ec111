"""Frames that are decoded from the key frame before them, against the same frames when everything is decoded."""
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from helpers.streams import COUNT, STREAMS, X264, decode_all, remux, write_stream
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcma.datasets.video.pyav_reader import PyAVReader
from mmcma.datasets.video.random_access import CODECS, entry_point


class CountingReader(PyAVReader):
    """Knows how many packets it decoded."""
    decoded = 0

    def _decoded_packets(self, start, needed=None):
        for packet, frames in super()._decoded_packets(start, needed):
            self.decoded += packet.size > 0
            yield packet, frames


@pytest.fixture(scope='module', params=STREAMS)
def stream(request, streams):
    path = streams(request.param)
    return path, decode_all(path), STREAMS[request.param][-1]


@pytest.mark.slow
def test_any_frames_are_those_of_decoding_all(stream):
    path, whole, skips = stream
    assert len(whole) == COUNT

    # Where nothing can be skipped, every frame is had in the one way, by decoding all before it.
    @settings(max_examples=20 if skips else 5, deadline=None)
    @given(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=6))
    def check(indices):
        with PyAVReader(str(path)) as video:
            assert video.num_frames == COUNT
            assert np.array_equal(video.get_batch(indices), whole[indices])
    check()
    with PyAVReader(str(path)) as video:
        for index in range(0, COUNT, 1 if skips else 7):
            assert np.array_equal(video.get_batch([index])[0], whole[index]), index


def test_what_lies_between_is_not_decoded(stream):
    path, whole, skips = stream
    with CountingReader(str(path)) as video:
        assert np.array_equal(video.get_batch([0, 51]), whole[[0, 51]])
        assert (video.decoded < 36) == skips


@pytest.fixture(scope='module')
def closed(streams):
    return streams('closed')


@pytest.mark.parametrize('name', ['a.mkv', 'a.ts'])
def test_a_file_that_begins_within_a_group(closed, tmp_path, name):
    """Its first frames cannot be decoded by anyone; they are refused, and the others are right."""
    path = remux(closed, tmp_path / name, change=lambda number, data: None if number < 5 else data)
    whole = decode_all(closed)
    with PyAVReader(str(path)) as video:
        assert video.num_frames == COUNT - 5
        frames = video.get_batch(range(7, COUNT - 5))
        assert np.array_equal(frames, whole[12:])
        with pytest.raises(ValueError, match='frame 0 of 55 cannot be decoded'):
            video.get_batch([0, 20])


def test_frames_that_an_edit_list_hides(closed, tmp_path):
    path = remux(closed, tmp_path / 'a.mp4', shift=-15)
    whole = decode_all(path)
    assert len(whole) == COUNT - 15
    with PyAVReader(str(path)) as video:
        for indices in ([0], [1, 8, 9], [44, 20], range(COUNT - 15)):
            assert np.array_equal(video.get_batch(indices), whole[list(indices)])


@pytest.mark.parametrize('name, repeated', [('a.ts', True), ('a.avi', True), ('a.avi', False)])
def test_parameters_that_change_on_the_way(tmp_path, name, repeated):
    """A decoder that skips would not have seen the last ones."""
    parts = [write_stream(tmp_path / f'{cabac}.h264', 'libx264', {'x264-params': f'{X264}:bframes=0:cabac={cabac}'})
             for cabac in (1, 0)]
    data = b''.join(part.read_bytes() for part in parts)
    images = re.split(b'(?=\0\0\0\1\x67)', data)[1:]  # groups, each from its sequence parameters
    assert len(images) == 10
    if not repeated:
        images = [group if number % 5 == 0 else group[group.index(b'\0\0\1\x65'):]
                    for number, group in enumerate(images)]
    (tmp_path / 'both.h264').write_bytes(b''.join(images))
    with av.open(str(tmp_path / 'both.h264')) as old, av.open(str(tmp_path / name), 'w') as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = stream.time_base if name == 'a.avi' else Fraction(1, 10), stream
            new.mux(packet)
    whole = np.concatenate([decode_all(part) for part in parts])
    assert np.array_equal(decode_all(tmp_path / name), whole)
    with CountingReader(str(tmp_path / name)) as video:
        assert video.num_frames == 2 * COUNT
        for indices in ([0, 119], [51, 80], [3, 100]):
            assert np.array_equal(video.get_batch(indices), whole[indices])
        assert video.decoded > 200


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.avi'])
def test_groups_of_both_kinds(tmp_path, name):
    """Key frames 12, 36 and 52 are open, 24 and 40 closed."""
    path = write_stream(tmp_path / name, 'libx264', {'x264-params': X264 + ':open-gop=1', 'forced-idr': '1'},
                        closed=(24, 40))
    whole = decode_all(path)
    with CountingReader(str(path)) as video:
        assert {start.number for start in video._index.starts.values()} == {0, 24, 40}
        for index in range(COUNT):
            assert np.array_equal(video.get_batch([index])[0], whole[index]), index
        video.decoded = 0
        video.get_batch([0, 27, 51])
        assert video.decoded < 35


def test_packets_that_share_a_frame(streams):
    """As two fields do. Where frames are counted, a group is taken only if each of its packets gave one frame."""
    class Fields(PyAVReader):
        beginnings = ()

        def _decoded_packets(self, start, needed=None):
            self.beginnings += (start and start.number,)
            for number, (packet, frames) in enumerate(super()._decoded_packets(start, needed)):
                yield packet, [(place - 1, frame) for place, frame in frames] if number else []

    path = streams('no B-frames, AVI')
    with Fields(str(path)) as video:
        counted = video.get_batch([29])
        assert video.beginnings == (24, None) and np.array_equal(counted, decode_all(path)[[30]])


AVCC, HVCC = b'\1\x64\0\x14\xff', b'\1' + bytes(20) + b'\xff'


@pytest.mark.parametrize('codec, units, found', [
    ('h264', [b'\x67ab', b'\x68c', b'\x65slice'], (b'\x67ab\x68c', True)),  # both sets, then an IDR picture
    ('h264', [b'\x06message', b'\x65slice', b'\x67late'], (b'', True)),
    ('h264', [b'\x67ab', b'\x41slice', b'\x65slice'], None),  # begins with another image
    ('h264', [b'\x67ab', b'\x68c'], None),
    ('hevc', [b'\x40\1v', b'\x42\1s', b'\x44\1p', b'\x26\1slice'], (b'\x40\1v\x42\1s\x44\1p', True)),  # IDR
    ('hevc', [b'\x4e\1message', b'\x2a\1slice'], (b'', False)),  # CRA
    ('hevc', [b'\x20\1slice'], (b'', False)),  # BLA
    ('hevc', [b'\x42\1s', b'\2\1slice', b'\x26\1slice'], None)])
def test_entry_points_of_units(codec, units, found):
    lengths = b''.join(len(unit).to_bytes(4, 'big') + unit for unit in units)
    codes = b''.join((b'\0' * (number % 2)) + b'\0\0\1' + unit for number, unit in enumerate(units))
    assert entry_point(codec, lengths, dict(h264=AVCC, hevc=HVCC)[codec]) == found
    assert entry_point(codec, codes, None) == entry_point(codec, codes, b'\0\0\0\1\x67') == found


VOL, GROUP, I_VOP, P_VOP = b'\0\0\1\x20volume', b'\0\0\1\xb3abc', b'\0\0\1\xb6\x10', b'\0\0\1\xb6\x50'


@pytest.mark.parametrize('codec, packet, found', [
    ('vp9', [0b10000010], (b'', True)),  # a key frame of profile 0
    ('vp9', [0b10110001], (b'', True)),  # of profile 3
    ('vp9', [0b10000000], None), ('vp9', [0b10000110], None), ('vp9', [0b10001010], None),  # hidden, inter, existing
    ('av1', [0x12, 0, 0x0a, 2, 0, 7, 0x32, 1, 0x10], (b'\0\7', True)),  # delimiter, sequence, frame
    ('av1', [0x1a, 1, 0x10], (b'', True)),  # a frame header
    ('av1', [0x0c, 0, 0, 7], None), ('av1', [0x32, 1, 0x30], None),  # a sequence of no stated size; an inter frame
    ('av1', [0x32, 1, 0x00], None), ('av1', [0x32, 1, 0x90], None),  # hidden, existing
    ('av1', [0x0a, 1, 0x18, 0x32, 1, 0x10], None),  # a still picture
    ('mpeg4', VOL + GROUP + I_VOP, (VOL, False)), ('mpeg4', I_VOP, (b'', False)),
    ('mpeg4', P_VOP, None), ('mpeg4', I_VOP + P_VOP, None), ('mpeg4', VOL, None),
    ('mpeg2video', [0, 0, 1, 0], None)])
def test_entry_points_of_pictures(codec, packet, found):
    assert entry_point(codec, bytes(packet), None) == found


@given(st.binary(max_size=60))
def test_any_bytes_are_a_packet(packet):
    for codec in CODECS:
        for extradata in (None, AVCC, HVCC, b'\1'):
            assert isinstance(entry_point(codec, packet, extradata), (tuple, type(None)))
