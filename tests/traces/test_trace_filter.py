"""--trace-filter: only such traces are exported, synced, imported and verified; everything else as without."""

import json
from pathlib import Path

import pytest
from conftest import Runner
from support.databases import Databases
from support.trace_places import Places

import runsync
from runsync.bundle.snapshot import open_snapshot
from runsync.kinds.traces import TRACES

pytestmark = pytest.mark.server

ACCEPT = ["prompts", "issues"]


def listed(place: str) -> set[str]:
    """The ids of its traces."""
    return {trace.trace_id for trace in runsync.list_traces(place).traces}


def test_an_export_of_some_traces_says_so_and_is_verified_as_such(
    places: Places, tmp_path: Path, runsync: Runner
) -> None:
    bundle = tmp_path / "some"
    given = ("--trace-filter", "span.type = 'TOOL'", "--accept", ",".join(ACCEPT))
    done = json.loads(runsync("export", places.server, bundle, *given, "--json").stdout)
    assert (done["exit_code"], done["objects"]["traces"]["created"]) == (0, 2)
    assert {item.trace_id for item in open_snapshot(bundle).entities(TRACES).all()} == {
        places.ids["rich"],
        places.ids["failed"],
    }
    (manifest,) = (bundle / "snapshots").iterdir()
    assert json.loads(manifest.read_bytes())["trace_filter"] == ["span.type = 'TOOL'"]
    compared = json.loads(runsync("verify", places.server, bundle, "--accept", ",".join(ACCEPT), "--json").stdout)
    assert (compared["differences"], compared["objects"]["traces"]) == ([], 2)
    again = json.loads(runsync("export", places.server, bundle, *given, "--skip-unchanged", "--json").stdout)
    assert (again["snapshot"], again["objects"]["traces"]["unchanged"]) == ("", 2)
    refused = runsync("export", places.server, bundle, "--trace-filter", "span.kind = 'X'")
    assert (refused.returncode, "there is no field “span.kind”" in refused.stderr) == (2, True)


def test_syncs_and_imports_of_some_traces_bring_the_others_later(places: Places, databases: Databases) -> None:
    target = databases.fresh("sqlite")
    brought = runsync.sync(places.database, target.url, trace_filter="tags.team IS NOT NULL", accept=ACCEPT)
    assert (brought.exit_code, brought.objects["traces"].created, brought.runs.created) == (0, 2, 1)
    assert listed(target.url) == {"tr-sibling", places.ids["rich"]}
    lacking = runsync.verify(places.database, target.url, accept=ACCEPT)
    assert len(lacking.differences) == 5
    same = runsync.verify(places.database, target.url, trace_filter="tags.team IS NOT NULL", accept=ACCEPT)
    assert same.differences == []
    imported = runsync.import_(places.bundle, target.url, trace_filter=["status = 'OK'", "name = 'plain'"])
    assert (imported.objects["traces"].created, imported.objects["traces"].unchanged) == (1, 0)
    assert len(listed(target.url)) == 3
