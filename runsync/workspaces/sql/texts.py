"""Text that is not UTF-8, which SQLite lets stand anywhere: what has it is named, and all else is read."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runsync.errors import RequestRefused
from runsync.model.identity import RUN_NAME
from runsync.model.run import DatasetInput, ModelLink, Problem, Run
from runsync.workspaces.sql.address import SQLITE

if TYPE_CHECKING:
    from sqlalchemy import Connection

WHY = "it holds text that is not UTF-8"

Noting = Callable[[Problem], object]
"""Told of a piece that cannot be read."""


@contextmanager
def any_text(connection: "Connection", errors: str = "surrogateescape") -> Iterator[None]:
    """Meanwhile SQLite gives text that is not UTF-8, too: see `bytes.decode` for `errors`."""
    if connection.dialect.name != SQLITE:
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.text_factory = lambda data: data.decode(errors=errors)
    try:
        yield
    finally:
        driver.text_factory = str


def is_text(text: str) -> bool:
    """Whether it was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """With escapes for the bytes that are not UTF-8."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def readable(text: str, name: str, noting: Noting) -> str:
    """A field of a run or an experiment, with such escapes where it is needed; then it is noted."""
    if is_text(text):
        return text
    noting(Problem("field", name, f"{WHY}, which stands here as escapes"))
    return printable(text)


def pairs(values: Mapping[str, str], kind: str, noting: Noting) -> dict[str, str]:
    """Params or tags without those that are not UTF-8, which are noted."""
    sound = {}
    for key, value in values.items():
        if is_text(key) and is_text(value):
            sound[key] = value
        else:
            noting(Problem(kind, printable(key), WHY))
    return sound


def sound(run: Run, noting: Noting) -> Run:
    """A run without pieces that are not UTF-8, which are noted. Raises RequestRefused where nothing else is left."""
    if not is_text(run.lifecycle_stage):
        raise RequestRefused(f"its lifecycle stage: {WHY}")
    tags = run.tags
    if not is_text(run.name) and tags.get(RUN_NAME) == run.name:  # which repeats it
        tags = {key: value for key, value in tags.items() if key != RUN_NAME}
    return replace(
        run,
        name=readable(run.name, "run_name", noting),
        user_id=readable(run.user_id, "user_id", noting),
        artifact_uri=readable(run.artifact_uri, "artifact_uri", noting),
        params=pairs(run.params, "param", noting),
        tags=pairs(tags, "tag", noting),
        latest_metrics=tuple(m for m in run.latest_metrics if _is_sound(m.key, m.key, "metric", noting)),
        dataset_inputs=tuple(d for d in run.dataset_inputs if _is_sound(_all_of(d), d.name, "input", noting)),
        model_inputs=_links(run.model_inputs, "input", noting),
        model_outputs=_links(run.model_outputs, "output", noting),
    )


def _links(links: tuple[ModelLink, ...], kind: str, noting: Noting) -> tuple[ModelLink, ...]:
    return tuple(link for link in links if _is_sound(link.model_id, link.model_id, kind, noting))


def _is_sound(text: str, name: str, kind: str, noting: Noting) -> bool:
    if is_text(text):
        return True
    noting(Problem(kind, printable(name), WHY))
    return False


def _all_of(read: DatasetInput) -> str:
    texts = (read.name, read.digest, read.source_type, read.source, read.schema, read.profile)
    return "".join((*texts, *read.tags, *read.tags.values()))
