"""The glue: sizes read from its tensors, and queries used as they are stored."""

import pytest
import torch

from ming_core import ConfigError, TorchOperations
from ming_core.lite_uni.glue import ConditionHead, GlueConfig, Queries, VisionProjection

SHAPES = {
    "linear_proj.0.weight": (16, 24),
    "proj_in.weight": (8, 16),
    "mlp.fc1.weight": (12, 16),
    "mlp.fc2.weight": (10, 12),
    "query_tokens_dict.16x16": (256, 16),
    "query_tokens_dict.4x4": (16, 16),
    "query_tokens_dict.4x8": (32, 16),
}


@pytest.fixture
def config() -> GlueConfig:
    return GlueConfig.read(SHAPES)


def test_sizes_are_read_from_the_tensors(config):
    assert config == GlueConfig(24, 16, 8, 12, 10, scales=(4, 16))


@pytest.mark.parametrize("name", ["proj_in.weight", "mlp.fc1.weight", "linear_proj.0.weight"])
def test_a_missing_matrix_is_named(name):
    shapes = {key: shape for key, shape in SHAPES.items() if key != name}
    with pytest.raises(ConfigError, match=name):
        GlueConfig.read(shapes)


def test_a_glue_without_queries_is_refused():
    shapes = {key: shape for key, shape in SHAPES.items() if "query" not in key}
    with pytest.raises(ConfigError, match="query_tokens_dict"):
        GlueConfig.read(shapes)


def test_queries_keep_their_length_and_follow_by_scale(config):
    queries = Queries(config, TorchOperations)
    rows = queries(torch.device("cpu"))
    assert torch.equal(rows[:16], queries.tokens["4"].weight)
    assert torch.equal(rows[16:], queries.tokens["16"].weight)


def test_what_is_seen_has_length_1(config):
    projection = VisionProjection(config, TorchOperations)
    lengths = projection(torch.randn(5, 24)).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(5))


def test_the_head_makes_something_of_nothing(config):
    head = ConditionHead(config, TorchOperations)
    assert head(torch.zeros(1, 16)).shape == (1, 10)
