"""What is to be seen in single frames of GlyphMotion, in plain words."""
from mmcma.datasets.glyph_motion.captions import with_article
from mmcma.datasets.glyph_motion.events import Actor, Look, look_at
from mmcma.datasets.glyph_motion.glyph_pictures import place_in_words
from mmcma.datasets.transforms.base import BaseTransform
from mmcma.registry import TRANSFORMS

_LEAST_COVER = 0.25  # below it a glyph is hardly to be seen


@TRANSFORMS.register_module()
class DescribeGlyphFrames(BaseTransform):
    """Say of each frame of a GlyphMotion clip which glyphs are there, in which colour, and where.

    The frames are taken to be spread evenly from the first of the clip to the last.

    Required Keys: ``scene``, as of :class:`GlyphMotion`; ``frame_mask``, all True.

    Added Keys: ``frame_captions``, a list of T strings, such as ``'a red star on the top left'``.
    """
    gives_frame_captions = True

    def transform(self, results: dict) -> dict:
        actors = [Actor(**actor) for actor in results['scene']['actors']]
        count = len(results['frame_mask'])
        results['frame_captions'] = [
            describe_frame([(actor, look_at(actor, frame, count)) for actor in actors]) for frame in range(count)]
        return results

    def __repr__(self) -> str:
        return 'DescribeGlyphFrames()'


def describe_frame(looks: list[tuple[Actor, Look]]) -> str:
    """A caption of the actors with how each looks in the frame; ``'nothing'`` where none is to be seen."""
    words = [with_article(f'{look.colour} {actor.glyph}') + place_in_words(look.x, look.y)
             for actor, look in looks if look.cover >= _LEAST_COVER]
    return ' and '.join(words) or 'nothing'
