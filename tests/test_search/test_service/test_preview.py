"""Videos as browsers play them."""
import av
import pytest
from helpers.media import write_video

from mmcma.search.service import preview
from mmcma.search.service.preview import Previews, convert, plays_in_browsers
from mmcma.utils.errors import MediaError


@pytest.mark.parametrize('name, codec, plays', [
    ('a.mp4', 'libx264', True), ('a.MOV', 'libx264', True), ('a.webm', 'libvpx-vp9', True),
    ('a.avi', 'libx264', False), ('a.mkv', 'libx264', False), ('a.mp4', 'mpeg4', False)])
def test_what_browsers_play(tmp_path, name, codec, plays):
    assert plays_in_browsers(write_video(tmp_path / name, 5, codec=codec, b_frames=0)) is plays


def test_what_is_no_video(tmp_path):
    (tmp_path / 'a.mp4').write_text('no video')
    for attempt in (plays_in_browsers, Previews(tmp_path).of):
        with pytest.raises(MediaError, match='a.mp4'):
            attempt(tmp_path / 'a.mp4')
    with pytest.raises(MediaError, match='b.mp4'):
        plays_in_browsers(tmp_path / 'b.mp4')


def shown(path) -> list[tuple[float, int]]:
    """Times of its frames and their mean grey."""
    with av.open(str(path)) as container:
        return [(round(float(frame.time), 3), round(frame.to_ndarray(format='gray').mean()))
                for frame in container.decode(video=0)]


def test_a_preview_shows_the_same_at_the_same_time(tmp_path):
    source = write_video(tmp_path / 'a.avi', 12, fps=10, codec='mpeg4', b_frames=0,
                         paint=lambda number: 20 * number + 10)
    convert(source, tmp_path / 'a.mp4')
    assert plays_in_browsers(tmp_path / 'a.mp4')
    before, after = shown(source), shown(tmp_path / 'a.mp4')
    assert [time for time, _ in after] == pytest.approx([time - before[0][0] for time, _ in before], abs=2e-3)
    assert [grey for _, grey in after] == pytest.approx([grey for _, grey in before], abs=6)


@pytest.mark.parametrize('size, shrunk', [((64, 48), (64, 48)), ((1280, 720), (640, 360)), ((300, 722), (300, 722)),
                                          ((722, 1444), (360, 720))])
def test_size_of_a_preview(tmp_path, size, shrunk):
    convert(write_video(tmp_path / 'a.avi', 2, codec='mpeg4', b_frames=0, size=size), tmp_path / 'a.mp4')
    with av.open(str(tmp_path / 'a.mp4')) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == shrunk


def test_odd_sizes_become_even():
    assert preview._even_size(101, 51) == [100, 52] and preview._even_size(1, 1000) == [2, 1000]


def test_only_the_beginning_is_converted(tmp_path, monkeypatch):
    monkeypatch.setattr(preview, 'PREVIEW_SECONDS', 7)
    convert(write_video(tmp_path / 'a.avi', 100, fps=10, codec='mpeg4', b_frames=0), tmp_path / 'a.mp4')
    assert len(shown(tmp_path / 'a.mp4')) == 70


def test_previews_are_made_once_and_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr(preview, 'KEPT', 2)
    (tmp_path / 'previews').mkdir()
    previews = Previews(tmp_path / 'previews')
    sources = [write_video(tmp_path / f'{number}.avi', 3, codec='mpeg4', b_frames=0) for number in range(3)]
    made = [previews.of(source) for source in sources[:2]]
    with monkeypatch.context() as patch:
        patch.setattr(preview, 'convert', None)
        assert [previews.of(source) for source in sources[:2]] == made
    made.append(previews.of(sources[2]))
    assert sorted(previews.folder.iterdir()) == sorted(made[1:])
    write_video(sources[2], 9, codec='mpeg4', b_frames=0)
    assert len(shown(previews.of(sources[2]))) == 9  # changed since
