"""Compile every kernel for a device that need not be there: run with Triton, without interpreter.

The interpreter forgives what the compiler does not: shapes of matrix instructions, types, layouts.
Prints a line per kernel: its name, how its weights are stored, and its shared memory in bytes.
"""

import argparse

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ming_core.kernels import fused
from ming_core.kernels.packed import tile_rows

STORED = {"dense": (None, fused.DENSE), "int8": ("*i8", fused.INT8), "int4": ("*u8", fused.INT4)}
SCALES = {"dense": None, "int8": "*fp32", "int4": "*fp16"}
HIDDEN, EXPERT_SIZE, WIDTH, SIZE = 2048, 1408, 3072, 8192  # the published sizes


def kernels(
    number: str, stored: str, tile: int
) -> dict[str, tuple[dict[str, str | None], dict[str, object]]]:
    """Return the types of each kernel's tensors and numbers, and its constants."""
    weight, kind = STORED[stored]
    read = {"weight": weight or number, "scale": SCALES[stored], "rows": "i32"}
    rows = dict.fromkeys(("x_rows", "mod_stride"), "i32")
    listed = {"active": "*i32", "count": "*i32"}
    how = {"FORMAT": kind.value, "GROUP": 64, "EMULATED": False, "ROWS": tile}
    how["BLOCK_K"] = 64 if (weight or number) == "*fp32" else 128
    few, many = fused.FEW_CHANNELS, fused.CHANNELS
    return {
        "plan_kernel": (
            listed | {"chosen": "*i64", "weights": "*fp32", "share": "*fp32", "rows": "i32"},
            {"TOP_K": 6, "EXPERTS": 64, "ROWS": tile},
        ),
        "expert_up_kernel": (
            read | listed | {"tokens": number, "hidden": number},
            how | {"K": HIDDEN, "SIZE": EXPERT_SIZE, "HALF": many},
        ),
        "expert_down_kernel": (
            read | listed | {"hidden": number, "share": "*fp32", "partial": "*fp32"},
            how | {"K": EXPERT_SIZE, "SIZE": HIDDEN, "N": many},
        ),
        "sum_kernel": (
            {"partial": "*fp32", "count": "*i32", "total": "*fp32", "rows": "i32"},
            {"SIZE": HIDDEN, "N": many, "ROWS": tile},
        ),
        "block_up_kernel": (
            read
            | rows
            | dict.fromkeys(("x", "norm_weight", "norm_bias", "modulation"), number)
            | {"bias": number, "hidden": number, "eps": "fp32"},
            how | {"K": WIDTH, "SIZE": SIZE, "HALF": many},
        ),
        "block_down_kernel": (
            read | rows | dict.fromkeys(("hidden", "bias", "x", "modulation", "out"), number),
            how | {"K": SIZE, "SIZE": WIDTH, "N": few},
        ),
    }


def main() -> None:
    """Compile for one device, dtype and storage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("capability", type=int)
    parser.add_argument("number", choices=("bf16", "fp16", "fp32"))
    parser.add_argument("stored", choices=STORED)
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args()
    target = GPUTarget("cuda", arguments.capability, 32)
    options = {"num_warps": fused.WARPS, "num_stages": fused.STAGES}
    made_for = f"*{arguments.number}", arguments.stored, tile_rows(arguments.rows)
    for name, (types, constants) in kernels(*made_for).items():
        kernel = getattr(fused, name)
        signature = {n: types.get(n) or "constexpr" for n in kernel.arg_names}
        fixed = {
            (i,): constants.get(n)
            for i, n in enumerate(kernel.arg_names)
            if signature[n] == "constexpr"
        }
        aligned = {
            (i,): [["tt.divisibility", 16]]
            for i, n in enumerate(kernel.arg_names)
            if signature[n].startswith("*")
        }
        source = ASTSource(kernel, signature, fixed, aligned)
        made = triton.compile(source, target=target, options=options)
        print(name, arguments.stored, made.metadata.shared)


if __name__ == "__main__":
    main()
