"""mmengine's visualizer, for retrieval."""
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.visualization import Visualizer
from torch import Tensor

from mmcma.registry import VISUALIZERS
from mmcma.utils.files import write_atomic
from mmcma.visualization.patch_attention import draw_patch_attention
from mmcma.visualization.plots import pixels, rank_histogram
from mmcma.visualization.query_panels import QueryPanel, draw_query_panels


@VISUALIZERS.register_module()
class RetrievalVisualizer(Visualizer):
    """Draws what a model found and where it looked, for every visual backend and, on request, as a PNG.

    Args:
        name: Under which mmengine knows it.
        vis_backends: Configs of mmengine's backends, such as ``dict(type='TensorboardVisBackend')``; without one
            only ``out_file`` is written.
        save_dir: Folder of the backends; supplied by the runner.
    """

    def __init__(self, name: str = 'visualizer', vis_backends: Sequence[dict] | None = None,
                 save_dir: str | None = None) -> None:
        super().__init__(name, vis_backends=vis_backends, save_dir=save_dir)

    def add_datasample(self, name: str, panels: Sequence[QueryPanel], *, num_frames: int = 8,
                       out_file: str | Path | None = None, step: int = 0) -> None:
        """Draws queries with their best answers, by :func:`~mmcma.visualization.query_panels.draw_query_panels`."""
        self._add(name, draw_query_panels(panels, num_frames), out_file, step)

    def add_patch_attention(self, name: str, frames: Tensor, attention: Tensor, *, titles: Sequence[str] = (),
                            out_file: str | Path | None = None, step: int = 0) -> None:
        """Draws where a clip is looked at, by :func:`~mmcma.visualization.patch_attention.draw_patch_attention`."""
        self._add(name, draw_patch_attention(frames, attention, titles), out_file, step)

    def add_rank_histogram(self, name: str, ranks: Mapping[str, Sequence[float]], candidates: int, *, title: str,
                           out_file: str | Path | None = None, step: int = 0) -> None:
        """Draws the ranks of the right answers, by :func:`~mmcma.visualization.plots.rank_histogram`."""
        self._add(name, rank_histogram(ranks, candidates, title), out_file, step)

    def _add(self, name: str, image: bytes, out_file: str | Path | None, step: int) -> None:
        self.add_image(name, pixels(image), step)
        if out_file is not None:
            write_atomic(image, Path(out_file))
