"""DiDeMo, Distinct Describable Moments (Hendricks et al., ICCV 2017)."""
from mmengine.logging import print_log

from mmcma.datasets.annotated_moments import AnnotatedMoments, DescribedMoment, DescribedVideo
from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES, without_suffix
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_lines
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.datasets.retrieval_dataset import SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, cause
from mmcma.utils.spans import Span

#: Of the files, which lie as their owners once uploaded them to Flickr; some names end in a bare dot.
_SUFFIXES = (*VIDEO_SUFFIXES, '.3g2', '.')

#: Seconds of a segment.
_SEGMENT = 5.0


@DATASETS.register_module()
class DiDeMo(AnnotatedMoments):
    """Flickr videos of about 30 s, each with one paragraph, read from the files as distributed.

    Video-paragraph retrieval: the descriptions of all moments of a video are
    joined, in the order of the file, to one caption of the whole video.

    A video's id is its name without the suffix. The JSON has 1,094 names in
    ``val``, but 29 of its 1,065 videos come under two (``.mov`` and ``.mp4``);
    the descriptions under both are the video's. The retrieval protocol's lists
    (``val_list.txt`` and so on) are not part of the distribution: where there
    is none, the split is every video of its JSON. Published lists of ``train``
    differ by a few.

    With ``moments=True`` each description is a caption of the time that most of its annotators chose, in segments of
    5 seconds.
    """
    SPLITS = {'train': SplitSize(8395, 8395), 'val': SplitSize(1065, 1065), 'test': SplitSize(1004, 1004)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/train_data.json', '{ann}/val_data.json', '{ann}/test_data.json', '{ann}/train_list.txt '
              'and so on (or no lists)', '{visual}/54322086@N00_2408598493_274c77d26a.avi and so on')
    SUFFIXES = _SUFFIXES

    def read_items(self) -> list[dict]:
        return [dict(id=video_id, captions=[' '.join(description for _, description, _ in rows)])
                for video_id, rows in self._read().items()]

    def read_videos(self) -> dict[str, DescribedVideo]:
        return {video_id: _described(rows) for video_id, rows in self._read().items()}

    def _read(self) -> dict[str, list[tuple[str, str, dict]]]:
        """Of each video's moments the place in the file, the description, and what else is said, by id."""
        path = self.caption_file(f'{self.split}_data.json')
        data = read_json(path)
        try:
            moments = [(f'{path}, moment {number}', row['video'], row['description'], row)
                       for number, row in enumerate(data)]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: not DiDeMo's file: a list of moments with video and description "
                            f'({cause(error)})') from error
        described: dict[str, list[tuple[str, str, dict]]] = {}
        for where, video, description, row in moments:
            described.setdefault(_stem(video, where), []).append((where, check_caption(description, where), row))
        ids = self._listed()
        if ids is None:
            ids = list(described)
        check_all_captioned(ids, described, path, self.split, texts='descriptions')
        return {video_id: described[video_id] for video_id in ids}

    def _listed(self) -> list[str] | None:
        """The ids of the retrieval protocol's list; None where it is not there."""
        name = f'{self.split}_list.txt'
        if self.annotation_if_there(name) is None:
            print_log(f'{self.title}: no {name}, so every video of {self.split}_data.json', logger='current')
            return None
        return read_ids((where, _stem(line, where)) for where, line in read_lines(self.annotation(name)))


def _described(rows: list[tuple[str, str, dict]]) -> DescribedVideo:
    moments, duration = [], 0.0
    for where, description, row in rows:
        try:
            times = [Span(_SEGMENT * float(first), _SEGMENT * (float(last) + 1)) for first, last in row['times']]
            duration = max(duration, _SEGMENT * float(row['num_segments']))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: no 'times' in segments and 'num_segments' ({cause(error)})") from error
        if not times:
            raise DataError(f"{where}: its list 'times' is empty")
        moments.append(DescribedMoment(description, times))
    return DescribedVideo(duration, moments)


def _stem(name: str, where: str) -> str:
    return without_suffix(check_id(name, where), _SUFFIXES)
