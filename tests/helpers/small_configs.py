"""The configs of configs/ for the small CLIP of which each has a part that no other has."""
from pathlib import Path

FOLDER = Path(__file__).parents[2] / 'configs'
#: Models that differ from another's in sizes or data alone, or in what stands together of which each is in others.
REPEATED = {
    'cma_tiny_glyphmotion', 'cma_tiny_glyphmotion_full-share', 'cma_tiny_glyphmotion_seq-transformer', 'cma_tiny_msvd',
    'cma_tiny_flickr8k', 'lora_tiny_glyphmotion', 'lora_tiny_glyphmotion_seq-transformer',
    'vpt-shallow_tiny_glyphmotion', 'zeroshot_tiny_glyphmotion', 'zeroshot_tiny_glyphpictures'}


def with_a_part_of_its_own(pattern: str) -> list[Path]:
    """Configs by a pattern within the folder, in order."""
    return [path for path in sorted(FOLDER.glob(pattern)) if path.stem not in REPEATED]
