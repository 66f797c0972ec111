"""Which layers of a tower, and which branches of them, a method works on."""
from collections.abc import Sequence

from mmcma.models.backbones.sites import Site
from mmcma.models.backbones.tower import Tower
from mmcma.utils.errors import argument_error


def chosen_layers(neck: object, tower: Tower, name: str, layers: Sequence[int] | None) -> list[int]:
    """Indices of the layers that a neck's ``layers`` names, from 0 at the input.

    Args:
        neck: Whose argument it is, for the error.
        tower: Where they are counted.
        name: What messages call the tower, ``'vision'`` or ``'text'``.
        layers: Indices as of a Python list, -1 being the last layer; None for all.

    Raises:
        ConfigError: A layer is not there, or none is named.
    """
    depth = len(tower.blocks)
    if layers is None:
        return list(range(depth))
    if not layers:
        raise argument_error(neck, 'layers', layers, 'leaves nothing to train: name layers, or None for all.')
    for layer in layers:
        if not isinstance(layer, int) or not -depth <= layer < depth:
            raise argument_error(neck, 'layers', layers, f'does not fit: the {name} tower has {depth} layers, so that '
                                f'{layer!r} must be a whole number from 0 to {depth - 1}, or from -{depth} to -1.')
    return sorted({layer % depth for layer in layers})


def chosen_sites(neck: object, tower: Tower, name: str, *, kinds: Sequence[str],
                 layers: Sequence[int] | None) -> list[Site]:
    """Sites of the kinds that a neck's ``kinds`` names in the layers of its ``layers``, input first.

    Raises:
        ConfigError: A kind is unknown or none is named; a layer is not there, or none is named.
    """
    if not kinds or not {*kinds} <= {'attn', 'ffn'}:
        raise argument_error(neck, 'kinds', kinds, "must be ['attn'], ['ffn'] or ['attn', 'ffn'].")
    wanted = chosen_layers(neck, tower, name, layers)
    return [site for site in tower.sites if site.layer in wanted and site.kind in kinds]
