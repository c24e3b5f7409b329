"""What a soak saw: how prompts ended, what was wrong, and what the server held after each burst."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from comfy_server import ComfyServer, Run
from runs import MIB, own_bytes

WARM = 0.4  # of the bursts pass before what the server holds is compared
LARGEST_GROWTH = 32 * MIB


@dataclass(frozen=True)
class Held:
    """What the server held when a burst was over (Linux)."""

    prompts: int  # ended so far
    own: int  # bytes that no file backs: those of a library may come and go
    threads: int
    files: int  # open ones

    @classmethod
    def by(cls, server: ComfyServer, prompts: int) -> "Held":
        """Look at the server as it is now."""
        place = Path(f"/proc/{server.process.pid}")
        threads, files = (len(list((place / kind).iterdir())) for kind in ("task", "fd"))
        return cls(prompts, own_bytes(server), threads, files)


@dataclass
class Report:
    """What happened."""

    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # nothing may stand here
    held: list[Held] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def prompts(self) -> int:
        """How many prompts have ended."""
        return self.endings.total()

    def look_at(self, run: Run) -> None:
        """Count a finished prompt; keep its error if no code of ours raised it on purpose."""
        self.endings[run.ending] += 1
        for kind, told in run.messages:
            if kind == "execution_error" and "ming_core.errors." not in told["exception_type"]:
                self.wrong.append(f"{told['exception_type']}: {told['exception_message'][:200]}")

    @property
    def growth(self) -> int:
        """Bytes by which memory is larger at the end than it ever was while it warmed up."""
        warm = self.held[: max(1, int(len(self.held) * WARM))]
        return self.held[-1].own - max(held.own for held in warm) if warm else 0

    @property
    def slope(self) -> float:
        """Bytes a prompt, by least squares over what came after the warming up."""
        late = self.held[int(len(self.held) * WARM) :]
        mean_x = sum(held.prompts for held in late) / max(1, len(late))
        mean_y = sum(held.own for held in late) / max(1, len(late))
        spread = sum((held.prompts - mean_x) ** 2 for held in late)
        return sum((held.prompts - mean_x) * (held.own - mean_y) for held in late) / (spread or 1.0)

    def lines(self) -> list[str]:
        """The report in words."""
        endings = ", ".join(f"{count} {ending}" for ending, count in sorted(self.endings.items()))
        lines = [f"{self.prompts} prompts in {self.seconds:.0f} s: {endings}"]
        lines += ["wrong: " + ("; ".join(self.wrong) or "nothing")]
        if self.held:
            every = max(1, len(self.held) // 20)
            shown = self.held[::every] + self.held[-1:]
            lines += ["| prompts | MiB of its own | threads | open files |", "|---|---|---|---|"]
            lines += [
                f"| {held.prompts} | {held.own / MIB:.0f} | {held.threads} | {held.files} |"
                for held in shown
            ]
            lines += [f"growth after the first {WARM:.0%}: {self.growth / MIB:+.1f} MiB"]
            lines += [f"slope after them: {self.slope / 1024:+.1f} KiB a prompt"]
        return lines
