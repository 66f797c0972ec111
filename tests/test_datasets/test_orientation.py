"""Frames are shown as the display matrix says, whatever it turns or mirrors."""
from math import sqrt

import numpy as np
import pytest
from helpers.media import set_display_matrix, write_video

from mmcma.datasets import open_video
from mmcma.datasets.video.orientation import upright
from mmcma.utils.errors import MediaError

#: 128 pixels wide and 96 high, dark at the top left, bright at the top right, grey below.
STORED = np.full((96, 128), 120)
STORED[:48, :64], STORED[:48, 64:] = 20, 230
#: Matrices ``(a, b, c, d)`` and what they show of an image ``(H, W)``.
MATRICES = {
    'as it is': ((1, 0, 0, 1), lambda image: image),
    'turned by 90 degrees': ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    'turned by 180 degrees': ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    'turned by 270 degrees': ((0, -1, 1, 0), np.rot90),
    'mirrored left to right': ((-1, 0, 0, 1), np.fliplr),
    'mirrored top to bottom': ((1, 0, 0, -1), np.flipud),
    'transposed': ((0, 1, 1, 0), np.transpose),
    'transposed about the other diagonal': ((0, -1, -1, 0), lambda image: np.rot90(image, 2).T),
    'of another size': ((2, 0, 0, -0.5), np.flipud),
    'nearly a quarter': ((0.001, 1, -1, 0.001), lambda image: np.rot90(image, -1)),
    'empty': ((0, 0, 0, 0), lambda image: image),
}


@pytest.mark.parametrize('codec', ['libx264', 'libvpx-vp9', 'libsvtav1'])
@pytest.mark.parametrize('name', MATRICES)
def test_frames_are_shown_as_the_matrix_says(tmp_path, name, codec):
    matrix, shown = MATRICES[name]
    path = write_video(tmp_path / 'a.mp4', num_frames=2, codec=codec, size=(128, 96), b_frames=0,
                       paint=lambda _: STORED)
    set_display_matrix(path, *matrix)
    with open_video(path) as video:
        frame = video.get_batch([1])[0].astype(int)
    assert frame.shape[:2] == shown(STORED).shape
    assert np.abs(frame.mean(axis=-1) - shown(STORED)).mean() < 4


@pytest.mark.parametrize('matrix, degrees', [
    ((sqrt(.5), sqrt(.5), -sqrt(.5), sqrt(.5)), 45), ((.5, -sqrt(.75), sqrt(.75), .5), -60)])
def test_other_turns_are_refused(tmp_path, matrix, degrees):
    path = write_video(tmp_path / 'a.mp4', num_frames=2)
    set_display_matrix(path, *matrix)
    with open_video(path) as video, pytest.raises(MediaError, match=rf'a\.mp4: .*matrix turns by {degrees} degrees'):
        video.get_batch([0])


def test_what_has_no_size_is_refused():
    matrix = np.array([1, 0, 0, 0, 0, 0, 0, 0, 1], dtype=np.int32).tobytes()
    with pytest.raises(ValueError, match='only quarter turns and mirror images'):
        upright(np.zeros((2, 3, 3)), matrix)
    assert upright(np.zeros((2, 3, 3)), None).shape == (2, 3, 3)
