"""Kernels run on an accelerator where there is one, else in Triton's interpreter.

The interpreter has to be asked for before Triton is imported for the first time.
"""

import os
from types import ModuleType

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="session")
def fused() -> ModuleType:
    pytest.importorskip("triton", reason="the fused kernels need Triton, which is not installed")
    from ming_core.kernels import fused

    return fused
