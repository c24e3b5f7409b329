"""Prompts in API format, built node by node."""

from typing import Any

Link = list[Any]


class Graph:
    """A prompt in the making; `prompt` is what the server takes."""

    def __init__(self) -> None:
        self.prompt: dict[str, dict[str, Any]] = {}

    def add(self, class_type: str, node_id: str | None = None, **inputs: object) -> str:
        """Add a node and return its id."""
        node_id = node_id or str(len(self.prompt) + 1)
        self.prompt[node_id] = {"class_type": class_type, "inputs": inputs}
        return node_id

    def ming(self, name: str, node_id: str | None = None, **inputs: object) -> str:
        """Add a node of the pack, its widgets filled in with small figures."""
        return self.add(f"MingUniVision_{name}", node_id, **(WIDGETS.get(name, {}) | inputs))

    def lite(self, name: str, node_id: str | None = None, **inputs: object) -> str:
        """Add a node of the second family in the same way."""
        widgets = {} if name == "EncodePrompt" else LITE_SAMPLING
        return self.add(f"MingLiteUni_{name}", node_id, **(widgets | inputs))

    def preview(self, model: str, features: Link, node_id: str) -> str:
        """Add the nodes that show features as a picture; return the id of the last."""
        image = self.ming("PixelDecode", f"{node_id}_decode", model=[model, 0], features=features)
        return self.add("PreviewImage", node_id, images=[image, 0])


SAMPLING = {
    "seed": 1,
    "steps": 2,
    "solver": "euler",
    "text_guidance": 3.0,
    "image_guidance": 1.1,
    "temperature": 1.0,
}
LITE_SAMPLING = {
    "seed": 1,
    "images": 1,
    "steps": 2,
    "guidance": 5.0,
    "shift": 0.0,
    "size_mode": "exact",
    "width": 96,
    "height": 64,
}
WIDGETS = {
    "LoadModel": {"checkpoint": "Ming-UniVision", "precision": "auto"},
    "Generate": {"prompt": "a cat", "images": 1, "reply": "picture", "max_tokens": 8, **SAMPLING},
    "EditStep": {"instruction": "a hat", "show_region_first": False, **SAMPLING},
    "SaveContext": {"filename_prefix": "ming/context"},
    "Describe": {
        "question": "What?",
        "max_tokens": 8,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "seed": 0,
    },
}


def edit_chain(**third: object) -> Graph:
    """Generate, then three edits in a row, each shown; `third` changes the last one's widgets."""
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("Generate", "first", model=[model, 0])
    before = "first"
    for name, instruction, changed in (
        ("step1", "a hat", {}),
        ("step2", "a red hat", {}),
        ("step3", "at night", third),
    ):
        inputs = {"instruction": instruction} | changed
        graph.ming("EditStep", name, model=[model, 0], context=[before, 0], **inputs)
        graph.preview(model, [name, 1], f"{name}_shown")
        before = name
    graph.ming("SaveContext", "saved", context=["step3", 0], filename_prefix="chain/c")
    return graph


def one_picture(seed: int, steps: int = 2, images: int = 1) -> Graph:
    """One prompt, shown and saved as a context."""
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("Generate", "draw", model=[model, 0], seed=seed, steps=steps, images=images)
    graph.preview(model, ["draw", 1], "shown")
    graph.ming("SaveContext", "saved", context=["draw", 0], filename_prefix="one/c")
    return graph
