"""Turns the `ui` values of output nodes into files and texts. Knows nothing about hosts."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .host import Job, Product, title_of

Locate = Callable[[Mapping[str, str]], Path]


def products_of(
    job: Job, outputs: Mapping[str, Mapping[str, Any]], locate: Locate
) -> list[Product]:
    """The files and texts in {node id: ui values}, in the order of the file.

    locate   gives the path of {"filename", "subfolder", "type"} on this machine
    """
    products = []
    for node_id in job.prompt:
        title = title_of(job.prompt[node_id])
        for key, values in outputs.get(node_id, {}).items():
            for value in values if isinstance(values, (list, tuple)) else []:
                if isinstance(value, dict) and "filename" in value:
                    products.append(Product(node_id, title, path=locate(value)))
                elif key == "text" and isinstance(value, str):
                    products.append(Product(node_id, title, text=value))
    return products


def keep_previews(job: Job, products: list[Product], work: Path, output: Path) -> list[Product]:
    """Copy what lies in the work folder, which will go, to `output/preview`, named by its node."""
    kept = []
    counts: dict[str, int] = {}
    for product in products:
        if product.path is None or not product.path.is_relative_to(work):
            kept.append(product)
            continue
        counts[product.node_id] = number = counts.get(product.node_id, 0) + 1
        name = f"{job.name} {product.title} {product.node_id}-{number}{product.path.suffix}"
        target = output / "preview" / _as_file_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".part")
        shutil.copyfile(product.path, partial)
        partial.replace(target)
        kept.append(Product(product.node_id, product.title, path=target))
    return kept


def _as_file_name(text: str) -> str:
    return "".join("_" if letter in '<>:"/\\|?*' or letter < " " else letter for letter in text)
