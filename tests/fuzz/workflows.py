"""Workflow files of either format with places changed: converted, set, checked, or refused."""

import json
from datetime import datetime, timezone
from pathlib import Path
from random import Random

from ming_run.editor import convert
from ming_run.host import RunError
from ming_run.node_definitions import parse_definitions
from ming_run.prompt_checks import check_prompt
from ming_run.prompt_settings import apply_settings, parse_setting
from ming_run.workflow_format import is_ui_format, read_workflow

from .checkpoints import Case
from .judging import expect, ours
from .mutators import mutated_json, odd_value

ROOT = Path(__file__).parents[2]
WORKFLOWS, CASES = ROOT / "workflows", ROOT / "tests" / "run" / "cases"
THE_DAY = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
NO_WORKFLOWS = ("object_info.json", "page.json")
SETTINGS = ("AR Generate.steps=1", "1.seed=7", "Load MingUniVision.checkpoint=auto", "a.b=c", "=")


def workflows(folder: Path) -> Case:
    """Workflows of others, and those that are shipped, as the page saves and as it sends them."""
    files = [*CASES.glob("*.json"), *WORKFLOWS.glob("*.json"), *(WORKFLOWS / "api").glob("*.json")]
    contents = [read_workflow(path) for path in sorted(files) if path.name not in NO_WORKFLOWS]
    definitions = parse_definitions(json.loads((CASES / "object_info.json").read_text("utf-8")))
    path = folder / "workflow.json"

    def case(dice: Random) -> None:
        path.write_bytes(mutated_json(dice, dice.choice(contents)))
        with ours(RunError):
            content = read_workflow(path)
            prompt = content
            if is_ui_format(content):
                prompt = convert(content, definitions, "x", Random(1), THE_DAY).prompt
            if dice.random() < 0.3:
                setting = parse_setting(f"{dice.choice(SETTINGS)}{str(odd_value(dice))[:50]}")
                apply_settings([setting], {"x": prompt}, definitions)
            order = check_prompt(prompt, definitions, "x")
            expect(set(order) <= set(prompt), "nodes that are not there")
            json.dumps(prompt)

    return case
