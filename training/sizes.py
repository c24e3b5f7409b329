"""The sizes of model that we train, by name."""

from ming_bench.tiny_checkpoint.config import Sizes

PRESETS = {
    "small": Sizes(),
    "deep": Sizes(layers=6, pixel_depth=6),
    "wide": Sizes(hidden=224, heads=6, kv_heads=3, layers=6, pixel_depth=6),
    "full": Sizes(
        hidden=192, heads=6, kv_heads=2, expert_width=192, flow_width=192, flow_depth=3, layers=5
    ),
}
