"""MLflow, by mmengine's backend, under names that MLflow takes."""
from typing import Any

from mmengine.visualization import vis_backend as mmengines

from mmcma.registry import VISBACKENDS


@VISBACKENDS.register_module()
class MLflowVisBackend(mmengines.MLflowVisBackend):
    """mmengine's, which loses what MLflow refuses: metrics with an ``@`` in a name, and images without a suffix.

    ``t2v/R@1`` is the metric ``t2v/R_at_1``; the image ``query_panels`` of step 2 is the artifact
    ``query_panels_2.png``. The arguments are mmengine's.
    """

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs) -> None:
        """Stores an RGB image ``(H, W, 3)`` uint8."""
        super().add_image(f'{name}_{step}.png', image, step, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs) -> None:
        """Stores one value of a metric."""
        super().add_scalar(_metric(name), value, step, **kwargs)

    def add_scalars(self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs) -> None:
        """Stores values by the names of their metrics."""
        super().add_scalars({_metric(name): value for name, value in scalar_dict.items()}, step, file_path, **kwargs)


def _metric(name: str) -> str:
    return name.replace('@', '_at_')
