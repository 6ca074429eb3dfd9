"""Pieces of a run or an experiment that a store has no place for: each is named, and it arrives without them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from runsync.errors import RequestRefused
from runsync.model.identity import RUN_NAME
from runsync.model.run import DatasetInput, ModelLink, Run

NAME, USER, EXPERIMENT_NAME = "run_name", "user_id", "name"
INPUT_TAG = "input tag"
Piece = DatasetInput | ModelLink | None


@dataclass(frozen=True, slots=True)
class Misfit:
    """One of them, and why. `kind` is param, tag, metric, input, output, INPUT_TAG or field (NAME, USER or
    EXPERIMENT_NAME), `name` the key; of an input, its tag or an output `piece` is which one, as names may repeat.

    `gives_way`: it is the same as another one, and would fit instead of that.
    """

    kind: str
    name: str
    why: str
    piece: Piece = None
    gives_way: bool = False

    def __str__(self) -> str:
        return f"{self.kind} “{self.name}”: {self.why}"


class Unfit(RequestRefused):
    """A run or an experiment has pieces that the store has no place for; nothing of it was written."""

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__("; ".join(map(str, misfits)))
        self.misfits = tuple(misfits)


class Refusal(str):
    """Why a run was refused. Where it was for some of its pieces, `misfits` are those: it may come without them."""

    misfits: tuple[Misfit, ...]

    def __new__(cls, why: str | Exception) -> "Refusal":
        """Of an error, or of text."""
        made = super().__new__(cls, str(why))
        made.misfits = why.misfits if isinstance(why, Unfit) else ()
        return made

    def is_of_more_than(self, misfits: Collection[Misfit]) -> bool:
        """Whether pieces are told that are not among these, which were left out already."""
        return any(misfit not in misfits for misfit in self.misfits)


def without(run: Run, misfits: Collection[Misfit], there: Run | None) -> Run:
    """The run without these pieces. A field has the value that is there of it, if any."""
    left_out = {kind: {m.name for m in misfits if m.kind == kind} for kind in ("param", "tag", "metric", "field")}
    if NAME in left_out["field"]:
        left_out["tag"].add(RUN_NAME)  # repeats it
    read, wrote = ([_bare(m.piece) for m in misfits if m.kind == kind] for kind in ("input", "output"))
    tagged = [(_bare(m.piece), m.name) for m in misfits if m.kind == INPUT_TAG]
    return replace(
        run,
        name=run.name if NAME not in left_out["field"] else there.name if there else "",
        user_id=run.user_id if USER not in left_out["field"] else there.user_id if there else "",
        params={key: value for key, value in run.params.items() if key not in left_out["param"]},
        tags={key: value for key, value in run.tags.items() if key not in left_out["tag"]},
        latest_metrics=tuple(m for m in run.latest_metrics if m.key not in left_out["metric"]),
        dataset_inputs=tuple(_untagged(d, tagged) for d in run.dataset_inputs if _bare(d) not in read),
        model_inputs=tuple(link for link in run.model_inputs if link not in read),
        model_outputs=tuple(link for link in run.model_outputs if link not in wrote),
    )


def _untagged(dataset: DatasetInput, tagged: Collection[tuple[Piece, str]]) -> DatasetInput:
    bare = _bare(dataset)
    return replace(dataset, tags={key: value for key, value in dataset.tags.items() if (bare, key) not in tagged})


def _bare(piece: Piece) -> Piece:
    """A dataset with no tags, whichever it is without by now."""
    return replace(piece, tags={}) if isinstance(piece, DatasetInput) else piece
