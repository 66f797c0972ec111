"""GlyphMotion: a small world of moving glyphs that renders itself on first use."""
import os

from mmcma.datasets.annotations.reading import read_json
from mmcma.datasets.glyph_motion.captions import CAPTIONS_PER_CLIP
from mmcma.datasets.glyph_motion.clips import Recipe, ensure_rendered
from mmcma.datasets.glyph_motion.scenes import SPLITS
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import argument_error


def _sizes(recipe: Recipe) -> dict[str, SplitSize]:
    counts = {split: getattr(recipe, split) for split in SPLITS}
    return {split: SplitSize(count, CAPTIONS_PER_CLIP * count) for split, count in counts.items()}


@DATASETS.register_module()
class GlyphMotion(RetrievalDataset):
    """Two-second clips of pictographs that move over textures, five captions each.

    Every caption is marked by what it takes to tell its clip apart:

    * ``appearance``: what is there. No other clip of the split shows the same
      glyphs in the same colours.
    * ``event``: what happens, to be seen in an unordered set of frames. Three
      sibling clips look the same and do something else.
    * ``order``: the order of the frames. The sibling clip is exactly the same
      frames in reverse, so a head that ignores their order cannot tell the two
      apart: at most 50 % R@1 of this kind is luck, and 0 % where exact ties
      share a rank.

    No (glyph, colour, event) of the validation or test split occurs in
    training, while training knows every glyph, every colour and every event.

    The first use renders all splits (70 MB, less than a minute) into
    ``data_root/<checksum of the recipe>/``, which appears there in one step
    when it is complete; later uses, and other processes, read it.

    Args:
        split: ``'train'``, ``'val'`` or ``'test'``.
        data_root: Where the folder lies, or is made.
        num_clips: Clips by split where they are not the usual
            ``dict(train=2000, val=200, test=400)``; at least 8.
        seed: Fixes scenes, captions and textures; another seed is another data set.
        **kwargs: Arguments of ``RetrievalDataset``.
    """
    SPLITS = _sizes(Recipe())

    def __init__(self, *, split: str = 'train', data_root: str = 'data/glyphmotion',
                 num_clips: dict[str, int] | None = None, seed: int = 0, **kwargs) -> None:
        num_clips = {} if num_clips is None else num_clips
        if not isinstance(num_clips, dict) or not all(isinstance(size, int) for size in num_clips.values()):
            raise argument_error(self, 'num_clips', num_clips, 'is no dict of whole numbers by split, such as '
                                 'dict(train=200).')
        for name in num_clips:
            self._check_option('num_clips', name, list(SPLITS))
        self.recipe = Recipe(**num_clips, seed=seed)
        self.SPLITS = _sizes(self.recipe)
        super().__init__(split=split, data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The items of the split; ``scene`` tells all that is in the clip."""
        folder = ensure_rendered(self.recipe, self.data_root)
        return [dict(item, path=os.path.join(folder, item['path']), start=None, end=None)
                for item in read_json(folder / f'{self.split}.json')]
