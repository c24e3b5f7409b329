"""ggml as a peer: it multiplies the same numbers, and is named where it is missing."""

import pytest
import torch

from ming_bench import checks, ggml_peer
from ming_bench.ggml_peer import GgmlProducts, OurProducts, drawn_weights, row_like

SHAPES = ((128, 64), (64, 192))


def test_our_products_are_those_of_the_same_numbers():
    for ours, shape, seed in zip(OurProducts(SHAPES)(), SHAPES, (0, 1), strict=True):
        expected = row_like(shape) @ drawn_weights(shape, seed).mT
        assert 0 < (ours.float() - expected).norm() < 0.15 * expected.norm()


def test_ggmls_products_are_those_of_the_same_numbers():
    peer = ggml_peer.ggml()
    if peer is None:
        pytest.skip("ggml-python is not installed")
    theirs = GgmlProducts(peer, SHAPES)
    for _ in range(3):
        theirs()
    for found, shape, seed in zip(theirs.results(SHAPES), SHAPES, (0, 1), strict=True):
        expected = row_like(shape) @ drawn_weights(shape, seed).mT
        assert 0 < (found - expected).norm() < 0.15 * expected.norm()
    theirs.close()


def test_a_peer_that_is_missing_is_told_not_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ggml_peer, "ggml", lambda: None)
    check = checks.peer_check(1)
    assert check.value is None
    assert "skipped" in check.line() and "the extra `peer`" in check.line()


def test_a_peer_that_is_there_gives_a_ratio(monkeypatch: pytest.MonkeyPatch):
    class Peer:
        def __init__(self, _module: object, _shapes: object) -> None:
            self.x, self.closed = torch.ones(300, 300), False

        def __call__(self) -> None:
            self.x @ self.x

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(ggml_peer, "ggml", lambda: object())
    monkeypatch.setattr(checks, "GgmlProducts", Peer)
    monkeypatch.setattr(checks, "SHAPES", SHAPES)
    check = checks.peer_check(2)
    assert len(check.values) == 2 and min(check.values) > 0 and ">= 2.0" in check.line()
