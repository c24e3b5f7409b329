"""The node that fetches the published model, when a person switches that on."""

from comfy_api.latest import io

from ..ming_download import (
    FAMILIES,
    PUBLISHED,
    SOURCES,
    DownloadError,
    Repository,
    describe,
    download,
    make_plan,
)
from .host import files
from .schema import node_schema, widget

BOTH, LITE = "Ming-UniVision-16B-A3B and MingTok-Vision", "Ming-Lite-Uni"
NAMED = "the repository named below"
CONSENT, NO_CONSENT = "licence read: get it", "only tell me"  # side by side in Nodes 2.0
_CHOICES = {BOTH: PUBLISHED, LITE: FAMILIES[LITE]}
_EXPECTED = {
    BOTH: "Expected: inclusionAI/Ming-UniVision-16B-A3B (about 38 GB) and "
    "inclusionAI/MingTok-Vision (about 1.5 GB); licences: see their pages.",
    LITE: "Expected: inclusionAI/Ming-Lite-Uni; size and licence: see its page.",
}


class Download(io.ComfyNode):
    """Download Ming-UniVision: names size and licence, and fetches only when told to."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "Download",
            display_name="Download Ming-UniVision",
            description="Says what the model's files are, how large, under which licence, and "
            "where they go. Downloads them only when the switch is on; started again, it goes on "
            "where it was.",
            search_aliases=["model manager", "fetch checkpoint"],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                widget(
                    io.Combo,
                    "source",
                    options=list(SOURCES),
                    default=next(iter(SOURCES)),
                    tooltip="Hugging Face honours HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE, "
                    "ModelScope MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN.",
                ),
                widget(
                    io.Combo,
                    "what",
                    options=[BOTH, LITE, NAMED],
                    default=BOTH,
                    tooltip="What inclusionAI publishes of either family, or a copy of it.",
                ),
                widget(
                    io.String,
                    "repository",
                    default="",
                    advanced=True,
                    tooltip="OWNER/NAME of another repository, such as a copy of a published one.",
                ),
                widget(
                    io.Boolean,
                    "confirm",
                    default=False,
                    label_on=CONSENT,
                    label_off=NO_CONSENT,
                    tooltip="Off: nothing is downloaded; the report names every size and licence. "
                    "On: I have read the licence, and all of it is downloaded (Ming-UniVision: "
                    "about 40 GB).",
                ),
            ],
            outputs=[io.String.Output("report", tooltip="What there is, how large, where to.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **_inputs: object) -> float:
        return float("nan")  # never equal: the disk and the hub may have changed

    @classmethod
    def execute(cls, source: str, what: str, repository: str, confirm: bool) -> io.NodeOutput:
        chosen = _CHOICES.get(what) or (Repository(repository.strip()),)
        root, progress = files.download_root(), files.DownloadProgress(cls.hidden)
        try:
            plan = make_plan(SOURCES[source](), chosen, root, progress)
        except DownloadError as error:
            if confirm or what == NAMED:
                raise
            return _shown(f"{error}\n{_EXPECTED[what]} It would go into {root}.")
        if not confirm:
            return _shown(f"{describe(plan)}\nNothing was downloaded: the switch is off.")
        download(plan, progress)
        done = "Refresh the page's node definitions (R), and Load MingUniVision offers it."
        return _shown(f"{describe(plan)}\n{done}")


def _shown(report: str) -> io.NodeOutput:
    return io.NodeOutput(report, ui={"text": [report]})
