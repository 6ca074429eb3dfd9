"""traces list and show: as MLflow's own search finds them, on servers, databases and in bundles."""

import json
from contextlib import ExitStack
from typing import Any

import pytest
from conftest import Runner
from support.trace_places import Places, post

import runsync
from runsync.bundle import schemas
from runsync.model.selection import Selection
from runsync.traces.listing import chosen_traces, scope_of
from runsync.transfer.places import open_source

pytestmark = pytest.mark.server

FILTERS = (
    *("status = 'OK'", "trace.status != 'OK'", "status IN ('ERROR', 'IN_PROGRESS')", "attributes.status NOT IN ('OK')"),
    *("timestamp > 1700000004000", "timestamp_ms <= 1700000005000", "trace.timestamp_ms = 1700000005000"),
    *("execution_time > 1000", "execution_time_ms <= 12", "execution_time != 1234", "end_time_ms > 1700000001000"),
    *("name = 'chain'", "name LIKE 'b%'", "trace.name ILIKE 'CH%'", "name != 'plain'"),
    *("request_id = 'tr-sibling'", "request_id LIKE 'tr-%'", "request_id IN ('tr-sibling', 'nothing')"),
    *("client_request_id = 'request-1'", "client_request_id LIKE 'th%'", "client_request_id != 'theirs'"),
    *("tags.team = 'växt'", "tag.team != 'växt'", "tags.team LIKE 'O%'", "tags.team LIKE 'o%'", "tags.team ILIKE 'o%'"),
    *("tags.`mlflow.traceName` = 'bare'", "tags.team IS NULL", "tags.team IS NOT NULL", "tags.n = '5'"),
    *("metadata.`mlflow.trace.session` = 'session-2'", "request_metadata.build = '7'", "metadata.build IS NULL"),
    *("metadata.`mlflow.trace.user` LIKE 'a%'", "metadata.`mlflow.trace.session` IS NOT NULL"),
    *("run_id = '{run}'", "metadata.`mlflow.sourceRun` = '{run}'", "run_id != 'x'", "run_id = 'no such run'"),
    *("feedback.correct = 'true'", "feedback.correct != 'true'", "feedback.quality = '0.9'", "feedback.quality > 0.5"),
    *("feedback.quality <= 0.1", "feedback.helpful LIKE '%yes%'", "feedback.helpful ILIKE '%YES%'"),
    *("feedback.helpful = 'yes'", "feedback.correct IS NULL", "feedback.correct IS NOT NULL", "feedback.gone = '1'"),
    *("feedback.tone >= 4", "feedback.tone = '4'", "feedback.tone IS NOT NULL", "feedback.tone IS NULL"),
    *("feedback.judge IS NOT NULL", "feedback.checks LIKE '%null%'", "feedback.correct >= 0"),
    *("expectation.answer = 'Paris'", "expectation.answer != 'Paris'", "expectation.facts LIKE '%France%'"),
    *("span.name = 'retrieve'", "span.name LIKE '%e%'", "span.type = 'TOOL'", "span.type IN ('LLM', 'MINE')"),
    *("span.status = 'ERROR'", "span.status != 'OK'", "span.type NOT IN ('TOOL')", "span.content LIKE '%réponse%'"),
    *("span.type = 'TOOL' AND span.status = 'ERROR'", "span.name = 'llm' AND span.type = 'TOOL'"),
    *(
        "span.name = 'broken' AND timestamp > 1700000000000",
        "trace.text LIKE '%capitale%'",
        "trace.text ILIKE '%PARIS%'",
    ),
    *("span.attributes.depth LIKE '%3%'", "prompt = 'greeting/2'", "prompt = 'greeting/1'", "issue.id = '{issue}'"),
    *("status = 'OK' AND name = 'chain' AND feedback.correct = 'true' AND span.type = 'CHAIN'",),
)
OWN = {
    "NOT (status = 'OK') OR tags.team = 'Ops'": {"failed", "running", "sibling"},
    "timestamp BETWEEN 2023-11-14 AND '2023-11-14T22:13:24Z'": {"sparse", "plain", "sibling"},
    "feedback.correct = true AND state = 'OK'": {"rich"},
    "execution_time > 1s AND NOT span.name LIKE '%'": {"sparse"},
    "NOT span.type = 'TOOL' AND tags.team IS NOT NULL": {"sibling"},
    "span.attributes.`mlflow.llm.model` = 'gpt-x'": {"rich"},
    "span.name = 'from a file'": {"spans_in_files"},
    "trace_id = 'tr-sibling' OR name IN ('plain', 'broken')": {"sibling", "plain", "failed"},
}
"""What MLflow's search cannot be asked, with what it means."""


def searched(places: Places, where: str) -> set[str]:
    """What the server's own search finds."""
    ids = [places.ids["experiment"], places.ids["other"]]
    locations = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id}} for id in ids]
    told = post(places.server, "traces/search", {"locations": locations, "filter": where, "max_results": 100})
    return {trace["trace_id"] for trace in told.get("traces", ())}


def found(place: str, where: str) -> set[str]:
    return {trace.trace_id for trace in runsync.list_traces(place, filter=where).traces}


def test_filters_find_what_the_search_of_mlflow_finds(places: Places) -> None:
    wrong: dict[str, Any] = {}
    hits = 0
    with ExitStack() as opened:
        sources = [
            opened.enter_context(open_source(place, "", access=runsync.Access(), workers=2)) for place in places.all
        ]
        homes = [source.experiments(Selection()) for source in sources]
        for text in FILTERS:
            where = text.format(**places.ids)
            wanted = searched(places, where)
            hits += bool(wanted)
            for source, some in zip(sources, homes, strict=True):
                scope = scope_of(some, where)
                told = {trace.trace_id for trace in chosen_traces(source, scope, []).list(scope)}
                if "span." in where or "text" in where:
                    told -= {places.ids["spans_in_files"]}  # where MLflow's search does not look
                if told != wanted:
                    wrong[f"{where} on {source.place.kind}"] = (wanted, told)
    assert wrong == {}
    assert hits > len(FILTERS) * 0.8


@pytest.mark.parametrize("text", OWN)
def test_filters_mean_the_same_everywhere_where_mlflow_knows_no_such_thing(places: Places, text: str) -> None:
    named = {places.ids.get(name, f"tr-{name}") for name in OWN[text]}
    assert {place: found(place, text) for place in places.all} == dict.fromkeys(places.all, named)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tags.a RLIKE 'x'", "RLIKE is not known here"),
        ("prompt LIKE 'x%'", "write prompt = 'NAME/VERSION'"),
        ("issue.id != 'x'", "write issue.id = 'ID'"),
        ("span.content = 'x'", "LIKE or ILIKE"),
        ("span.length > 3", "there is no field “span.length”"),
        ("feedback.x > 'a'", "a number without quotes"),
        ("status = 'DONE'", "status is one of OK, ERROR"),
        ("state", "compared with nothing"),
        ("metrics.auc > 1", "there is no “metrics.”"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_with_its_place(
    places: Places, runsync: Runner, text: str, why: str
) -> None:
    done = runsync("traces", "list", places.bundle, "--filter", text)
    assert done.returncode == 2
    assert why in done.stderr
    assert f"  {text}\n" in done.stderr


def test_traces_come_in_the_order_and_number_asked_for(places: Places) -> None:
    def listed(place: str, *order: str, limit: int | None = None) -> list[str]:
        return [t.trace_id for t in runsync.list_traces(place, order_by=order, limit=limit).traces]

    for order in ((), ("execution_time_ms DESC",), ("execution_time",), ("timestamp",), ("name", "timestamp DESC")):
        lists = [listed(place, *order) for place in places.all]
        assert lists[0] == lists[1] == lists[2]
        assert len(lists[0]) == 7
        assert [listed(place, *order, limit=2) for place in places.all] == [lists[0][:2]] * 3
    assert listed(places.bundle, "execution_time DESC")[-1] in {"tr-sibling", places.ids["running"]}


def test_a_list_is_a_table_and_names_what_there_is(places: Places, runsync: Runner) -> None:
    lines = runsync("traces", "list", places.server, "--experiment", "elsewhere").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["trace_id", "tr-sibling", "request-without-spans"]
    assert runsync("traces", "list", places.bundle, "--filter", "name = 'none'").stdout == "No traces.\n"
    told = json.loads(runsync("traces", "list", places.database, "--filter", "name = 'chain'", "--json").stdout)
    schemas.check("traces-list-report", told, "here")
    (trace,) = told["traces"]
    assert (trace["trace_id"], trace["experiment"]) == (places.ids["rich"], "traced")


def test_a_trace_is_shown_as_a_tree_of_its_spans(places: Places, runsync: Runner) -> None:
    for place in places.all:
        lines = runsync("traces", "show", place, places.ids["rich"]).stdout.splitlines()
        start = lines.index("Spans (5)")
        rows = [line[2:].split("  ") for line in lines[start + 2 : start + 7]]
        assert [row[0] or f"> {row[1]}" for row in rows] == ["chain", "> retrieve", "> llm", "> tool", "> own type"]
        assert lines[start + 2].split()[1::2] == ["CHAIN", "OK"]
        told = json.loads(runsync("traces", "show", place, places.ids["rich"], "--json").stdout)
        schemas.check("trace-report", told, place)
        spans = {span["name"]: span for span in told["spans"]}
        assert json.loads(spans["chain"]["attributes"])["depth"] == 3
        assert {one["name"] for one in told["trace"]["assessments"]} >= {"quality", "answer", "helpful"}
        assert len(told["trace"]["artifacts"]) == 1
    failed = runsync("traces", "show", places.database, places.ids["failed"]).stdout
    assert "divide: ZeroDivisionError" in failed
    assert runsync("traces", "show", places.server, "tr-none").returncode == 1
