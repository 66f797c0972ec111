"""Writes a pretrained backbone in the form that every other config reads."""
import json
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook

from mmcma.engine.loops import unwrapped
from mmcma.models.backbones import HFTower
from mmcma.registry import HOOKS
from mmcma.utils.errors import ConfigError


@HOOKS.register_module()
class ExportBackboneHook(Hook):
    """After training, writes both towers as one ``transformers`` model folder.

    The folder holds weights (float16 safetensors), tokenizer and image
    normalisation; ``pretrained=`` reads it.

    Args:
        folder: Where, relative to the work directory.

    Raises:
        ConfigError: The towers are no halves of a CLIP.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = folder

    def before_run(self, runner) -> None:
        """Checks the towers, before anything is trained."""
        model = unwrapped(runner.model)
        for name in ('vision_backbone', 'text_backbone'):
            tower = getattr(model, name)
            kind = tower.encoder.config.model_type if isinstance(tower, HFTower) else type(tower).__name__
            if not kind.startswith('clip_'):
                raise ConfigError(f'custom_hooks: ExportBackboneHook writes a CLIP, and model.{name} is {kind!r}; '
                                  'leave the hook out.')

    @master_only
    def after_train(self, runner) -> None:
        """Writes the folder."""
        model = unwrapped(runner.model)
        export_backbone(model, Path(runner.work_dir) / self.folder)
        runner.logger.info(f'model folder written to {Path(runner.work_dir) / self.folder}')


def export_backbone(model, folder: Path) -> None:
    """Writes the towers of a :class:`CrossModalRetriever` of one CLIP as a ``CLIPModel`` folder in float16.

    Args:
        model: With an :class:`HFVisionTower` and an :class:`HFTextTower`.
        folder: Created if needed; files in it are replaced.
    """
    from transformers import CLIPConfig, CLIPModel

    vision, text = model.vision_backbone, model.text_backbone
    config = CLIPConfig(vision_config=vision.encoder.config.to_dict(), text_config=text.encoder.config.to_dict(),
                        projection_dim=vision.embed_dim)
    dual = CLIPModel(config)
    dual.vision_model.load_state_dict(vision.encoder.state_dict())
    dual.text_model.load_state_dict(text.encoder.state_dict())
    dual.visual_projection.load_state_dict(vision.projection.state_dict())
    dual.text_projection.load_state_dict(text.projection.state_dict())
    dual.logit_scale.data.copy_(model.head.logit_scale.data.clamp(max=model.head.max_logit_scale))
    dual.half().save_pretrained(folder)
    # Each call of a tokenizer leaves its padding and truncation behind; they are not part of the model.
    text.tokenizer.backend_tokenizer.no_padding()
    text.tokenizer.backend_tokenizer.no_truncation()
    text.tokenizer.save_pretrained(folder)
    preprocessor = dict(image_processor_type='CLIPImageProcessor', size=dict(shortest_edge=vision.image_size),
                        crop_size=dict(height=vision.image_size, width=vision.image_size),
                        image_mean=vision.image_mean, image_std=vision.image_std)
    (folder / 'preprocessor_config.json').write_text(json.dumps(preprocessor, indent=2) + '\n')
