"""Every command with a bundle on S3."""

import json
from pathlib import Path

import pytest
from conftest import Pair, Runner
from support.oracle import assert_same
from support.rich import small_workspace
from support.s3 import Bucket
from support.seed import Seeder

from transfer.commands import NEWEST, Report, report


@NEWEST
@pytest.mark.parametrize(
    "way", ["the environment", *(pytest.param(way, marks=pytest.mark.slow) for way in ("options", "runsync.toml"))]
)
def test_a_backup_on_s3_is_made_checked_verified_and_restored(
    pair: Pair, seeder: Seeder, prefix: str, bucket: Bucket, runsync: Runner, tmp_path: Path, way: str
) -> None:
    facts = small_workspace(seeder, prefix)
    environment = dict(bucket.environment)
    where, options = f"{bucket.url}/backup", list[str]()
    if way != "the environment":
        del environment["AWS_ENDPOINT_URL"]
    if way == "options":
        options = ["--s3-endpoint", bucket.endpoint]
    if way == "runsync.toml":
        (tmp_path / "runsync.toml").write_text(f'[bundles.nightly]\nuri = "{where}"\nendpoint = "{bucket.endpoint}"\n')
        where = "nightly"

    def done(*arguments: object) -> Report:
        return report(runsync(*arguments, *options, "--json", env=environment))

    first = done("export", pair.source.url, where, "--experiment", facts.pattern)
    assert (first["artifacts"], first["metric_points"]) == (facts.artifacts, facts.points)
    assert done("check", where)["faults"] == []
    assert done("inspect", where)["snapshot"]["counts"]["runs"] == len(facts.runs)
    assert done("import", where, pair.target.url)["runs"]["created"] == len(facts.runs)
    assert_same(pair.source.url, pair.target.url, [facts.pattern])
    done("verify", where, pair.target.url, "--verify-artifacts")
    again = done("export", pair.source.url, where, "--experiment", facts.pattern)
    listed = done("snapshots", where)["snapshots"]
    assert [one["id"] for one in listed] == [first["snapshot"], again["snapshot"]]
    assert done("diff", f"{where}@{first['snapshot']}", f"{where}@latest")["changes"] == []
    assert done("check", f"{where}@{first['snapshot']}")["snapshots"] == 1
    done("copy", where, tmp_path / "on disk")
    assert json.loads(runsync("check", tmp_path / "on disk", "--json").stdout)["snapshots"] == 2
