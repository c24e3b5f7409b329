"""Our parameter names <-> names in the seven folders of a checkpoint: the one table of them."""

import re
from collections.abc import Mapping

import torch
from torch import nn

from ..places import Place, layer_of, unquantised_shape
from .folders import AUTOENCODER, CONNECTOR, GLUE, LANGUAGE, TRANSFORMER, VISION

OVERRIDE = "sana."  # in the glue: a tensor of the diffusion transformer, which wins
# What the glue must hold; it may hold more.
TRAINED = re.compile(
    r"(linear_proj\.[02]|proj_(in|out)|mlp\.(fc|layer_norm)[12])\.(weight|bias)"
    r"|query_tokens_dict\.\d+x\d+"
)

# Our name of a parameter -> folder/name of its tensor; the first pattern that matches is used.
RENAMES: tuple[tuple[str, str], ...] = (
    (r"vision\.tower\.(.+)", rf"{VISION}/\1"),
    (r"vision\.projection\.first\.(.+)", rf"{GLUE}/linear_proj.0.\1"),
    (r"vision\.projection\.second\.(.+)", rf"{GLUE}/linear_proj.2.\1"),
    (r"language_model\.queries\.tokens\.(\d+)\.weight", rf"{GLUE}/query_tokens_dict.\1x\1"),
    (r"language_model\.embed_tokens\.(.+)", rf"{LANGUAGE}/model.embed_tokens.\1"),
    (r"language_model\.decoder\.(.+)", rf"{LANGUAGE}/model.\1"),
    (r"lm_head\.(.+)", rf"{LANGUAGE}/lm_head.\1"),
    (r"connector\.decoder\.(.+)", rf"{CONNECTOR}/model.\1"),
    (r"connector\.head\.(.+)", rf"{GLUE}/mlp.\1"),
    (r"connector\.(.+)", rf"{GLUE}/\1"),
    (r"diffusion_transformer\.(.+?)(\.table)?", rf"{TRANSFORMER}/\1"),
    (r"autoencoder\.(.+)", rf"{AUTOENCODER}/decoder.\1"),
)
# Read by nothing: a picture is never encoded to latents, the connector reads no words, and what
# the glue holds besides is left over from training. Published loading ignores it as well.
IGNORED = re.compile(
    rf"{AUTOENCODER}/encoder\..+|{CONNECTOR}/(model\.embed_tokens|lm_head)\.weight|{GLUE}/.+"
    r"|.+\.rotary_emb\.inv_freq"
)


def stored_name(path: str) -> str:
    """Return folder/name of the tensor of a parameter, `component.parameter`."""
    for pattern, replacement in RENAMES:
        match = re.fullmatch(pattern, path)
        if match:
            return match.expand(replacement)
    raise KeyError(f"no checkpoint name is known for the parameter {path}")


def expected_tensors(components: Mapping[str, nn.Module]) -> dict[str, Place]:
    """Return every tensor a checkpoint must hold, by folder/name, and where it goes."""
    places: dict[str, Place] = {}
    for component, module in components.items():
        for parameter, tensor in module.named_parameters():
            layer, own = layer_of(components, Place(component, parameter, (), ()))
            whole = torch.empty(unquantised_shape(layer, own, tensor), device="meta")
            name = stored_name(f"{component}.{parameter}")
            places[name] = Place(component, parameter, (), tuple(whole.shape))
    return places
