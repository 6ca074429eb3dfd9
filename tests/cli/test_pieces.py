"""Artifacts that one and the same cause keeps back are told together."""

from runsync.cli.pieces import missing_pieces


def piece(run: str, kind: str, name: str, reason: str) -> dict[str, object]:
    return {"run_id": run, "kind": kind, "name": name, "reason": reason, "retry": False}


def test_runs_of_one_cause_are_one_line_and_all_are_counted() -> None:
    out = "its artifacts are recorded at s3://gone/1/{}/artifacts, which cannot be reached"
    lost = [piece(f"r{n}", "artifact list", "", out.format(f"r{n}")) for n in range(212)]
    refused = [piece("r7", "artifact", f"a{n}.bin", f"artifact “a{n}.bin” is refused") for n in range(3)]
    param = [piece(f"r{n}", "param", "long", "it has 9000 characters") for n in range(2)]
    single = [piece("r9", "artifact list", "", "a reason of its own")]
    of_trace = [piece("tr-1", "span of trace", "ab", "it is broken")]
    of_model = [piece("m-1", "artifact of logged model", f"a{n}", "gone") for n in range(2)]
    assert list(missing_pieces([*lost, *refused, *param, *single, *of_trace, *of_model])) == [
        "Missing pieces (221):",
        f"  artifacts of 212 runs: {out.format('r0')}; the first: run r0",
        "  3 artifacts of 1 run: artifact “a0.bin” is refused; the first: run r7: a0.bin",
        "  run r0: param long: it has 9000 characters",
        "  run r1: param long: it has 9000 characters",
        "  run r9: artifacts: a reason of its own",
        "  trace tr-1: span ab: it is broken",
        "  2 artifacts of 1 logged model: gone; the first: logged model m-1: a0",
    ]


def test_nothing_missing_is_no_list() -> None:
    assert list(missing_pieces([])) == []
