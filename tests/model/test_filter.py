"""The filter language: what it takes, what it means, what it sends to a server, and how it tells what is wrong."""

import pytest

from runsync.errors import WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.filter.evaluate import Facts, chooser, matches
from runsync.model.filter.parse import parse
from runsync.model.filter.push import Dialect, narrowed, pushed, state
from runsync.model.run import ArtifactFile, DatasetInput, LatestMetric, Run
from runsync.model.selection import Selection

CHURN = Experiment("7", "churn")
RUN = Run(
    "0f" * 16,
    "7",
    "nightly λ",
    "ada",
    "FINISHED",
    start_time=1_000_000,
    end_time=1_090_000,
    artifact_uri="mlflow-artifacts:/7/x",
    params={"n": "1_000", "lr": "0.50", "kernel": "rbf", "a b": "it's", "empty": "", "nan": "nan", "big": "1e400"},
    tags={
        "mlflow.runName": "nightly λ",
        "team": "Blue",
        "size": "5",
        "my custom tag": "my value",
        "mlflow.source.name": "train.py",
        "100%": "x_y",
    },
    latest_metrics=(LatestMetric("r2", 0.5, 1, 1), LatestMetric("bad", float("nan"), 1, 1)),
    dataset_inputs=(
        DatasetInput("iris", "abc", tags={"mlflow.data.context": "training"}),
        DatasetInput("wine", "def"),
    ),
)
FACTS = Facts.of([CHURN], has_model_version=lambda run_id: run_id == RUN.run_id)
FILES = (ArtifactFile("model/MLmodel", 3), ArtifactFile("plot.png", 4))

TRUE = [
    # as the runs page has them
    "metrics.r2 > 0.3",
    "params.lr = 0.5",
    "params.lr = 0.5 AND metrics.r2 > 0.3",
    'tags.team="Blue"',
    'tags.team="Blue" AND tags.size=5',
    'tags.`my custom tag` = "my value"',
    # MLflow's prefixes, aliases and quotes
    "metric.r2 >= 0.5 and parameter.kernel = 'rbf' and param.kernel != 'linear' and tag.team LIKE 'B%'",
    "attributes.status = 'FINISHED' and attribute.status = 'FINISHED' and attr.user_id = 'ada'",
    "run.run_id = '" + "0f" * 16 + "' and run_id IN ('x', '" + "0f" * 16 + "')",
    "attributes.`Run name` LIKE 'nightly%' and run_name = 'nightly λ' and attr.Created = 1000000",
    'metrics."r2" = .5 and params.`a b` = "it\'s"',
    "params.`a b` = 'it''s' and params.`a b` = 'it\\'s'",
    "tags.mlflow.source.name ILIKE 'TRAIN.%' and tags.team ILIKE 'bl_E'",
    "status == 'FINISHED' and status <> 'FAILED'",
    "start_time > 5 and end_time <= 1090000",
    "dataset.name = 'iris' and dataset.name = 'wine' and dataset.digest LIKE 'd%' and dataset.context = 'training'",
    "datasets.name != 'iris'",
    "params.absent IS NULL and params.lr is not null",
    "run_id NOT IN ('a')",
    'tags.team = "Blue" AND (params.kernel = "rbf" OR params.kernel = "x")',
    "tags.team = 'Blue' AND (params.`a b` = \"it's\" OR params.kernel = 'x')",
    'params.`a b` IN ("x", "it\'s", "y") AND tags.team != "a \\" b" AND tags.team != "c "" d"',
    # beyond
    "metrics.r2 = 5e-1 and metrics.r2 < 1E0 and metrics.r2 > -3 and metrics.r2 > +0.4",
    "metrics.bad != 1 and metrics.bad IS NOT NULL",
    "not metrics.r2 > 1",
    "(metrics.r2 > 1 or params.kernel = 'rbf') and not (status = 'FAILED' or status = 'KILLED')",
    "metrics.r2 > 1 or metrics.r2 > 2 or metrics.r2 = 0.5",
    "metrics.r2 between 0.1 and 0.5 and metrics.r2 not between 0.6 and 1",
    "params.kernel in ('rbf', \"linear\") and params.lr in (0.5, 0.6) and metrics.r2 not in (1, 2)",
    "params.kernel not like 'lin%' and tags.team not ilike 'RED'",
    "params.lr > 0.4 and params.lr != 0.6 and params.kernel != 3 and params.lr != '0.5'",
    "params.kernel > 'rbe' and params.kernel < 'rbg'",
    "params.big > 1 and params.nan != 1",
    "params.empty = '' and params.empty LIKE ''",
    "tags.`100%` LIKE 'x__' and tags.`100%` = 'x_y'",
    "start_time < 2026-11-01 and start_time < '2026-11-01T12:00:00Z' and start_time < 7d ago and start_time < '7d'",
    "start_time between 1970-01-01 and 1970-01-02",
    "duration > 500ms and duration > 1.5s",
    "duration = 90000 and duration > 1m and duration <= '90s' and duration between 1s and 1h",
    "experiment.name = 'churn' and experiment.id = '7' and experiment.id = 7",
    "state = 'active' and state in ('active', 'deleted')",
    "has_model_version and has_model_version = true and not has_model_version = false",
    "artifact.path LIKE '%/MLmodel' and artifact.path = 'plot.png'",
    "status ILIKE 'finished' and status LIKE 'FIN%' and status not like 'x'",
    "params.kernel between 'r' and 's' and dataset.name between 'i' and 'j'",
    "  metrics.r2\n>\n0.3  ",
]
FALSE = [
    "metrics.absent != 1",
    "params.absent != 'x'",
    "params.absent NOT LIKE 'x'",
    "params.absent NOT IN ('x')",
    "metrics.absent not between 1 and 2",
    "tags.absent = 5",
    "tags.team = 'blue'",
    "tags.team LIKE 'blue'",
    "params.kernel = 3 or params.kernel > 3 or params.nan > 0",
    "params.lr = '0.5'",
    "metrics.bad = 0 or metrics.bad > -1 or metrics.bad < 1",
    "tags.`100%` LIKE 'x%z'",
    "run_name ILIKE 'NIGHTLY Λ'",
    "dataset.context != 'training'",
    "dataset.name BETWEEN 'j' AND 'k'",
    "params.n = 1000 or params.kernel between 1 and 2 or params.kernel not between 1 and 2",
    "metrics.bad between -1 and 1 or metrics.bad not between -1 and 1",
    "artifact.path = 'model'",
    "has_model_version = false",
    "experiment.name IN ('other')",
    "duration is null",
    "not status = 'FINISHED' or not not state = 'deleted'",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_run_that_is_asked_for_is_taken(text: str) -> None:
    facts = Facts(FACTS.experiments, True, FACTS.has_model_version)
    assert chooser(Selection(filter=text), facts)(RUN, FILES)


@pytest.mark.parametrize("text", FALSE)
def test_a_run_that_is_not_asked_for_is_left(text: str) -> None:
    assert not matches(parse(text), RUN, FACTS, FILES)


# The shapes that MLflow's own tests of its parser have, with what it takes and what it refuses.
MLFLOW_TAKES = [
    "metric.acc >= 0.94",
    "metric.acc>=100",
    "params.m!='tanh'",
    'params."m"!="tanh"',
    'param."m"!="tanh"',
    'metrics."legacy version"<=2.0',
    "metrics.`m 1` = 5",
    "attribute.artifact_uri = '1/23/4'",
    "attribute.start_time >= 1234",
    "run.start_time >= 1234",
    "run.status = 'RUNNING'",
    "attr.status = 'KILLED'",
    "dataset.name = 'my_dataset'",
    "attribute.run_id IN ('a')",
    "attribute.run_id IN ('a',)",
    "attribute.run_id IN ('a', 'b')",
    "attribute.run_id NOT IN ('a', 'b')",
    "tags.`!23` = 'x' AND params.`a.b` LIKE '%y'",
    "tags.version = 'commit-hash' and params.model LIKE 'LR%'",
    "metrics.rmse < 1 AND params.model = 'LSTM'",
]
MLFLOW_REFUSES = [
    "metric.acc >= 0.94; metrics.rmse < 1",
    "m.acc >= 0.94",
    "acc >= 0.94",
    "p.model >= 'LR'",
    "attri.x != 1",
    "a.x != 1",
    "model >= 'LR'",
    "metrics.A > 0.1 NAND params.B = 'LR'",
    "`metrics.A > 0.1",
    "param`.A > 0.1",
    "attribute.start != 1",
    "attribute.time != 1",
    "attribute._status != 'RUNNING'",
    "attribute.status = true",
    "attribute.status = 1",
    "attribute.status = RUNNING",
    "metric.acc = LR",
    "metric.acc = '1'",
    "tag.acc = LR",
    "param.acc = LR",
    "params.acc = 'LR\"",
    "metrics.acc >=",
    "metrics.acc",
    "0.3 < metrics.acc",
    "params.m = 'a' 'b'",
    "attribute.run_id IN ()",
    "attribute.run_id IN (a, b)",
    "dataset.status = 'x'",
    "metrics.a = 1 AND AND metrics.b = 1",
]


@pytest.mark.parametrize("text", MLFLOW_TAKES)
def test_what_mlflow_takes_is_taken(text: str) -> None:
    assert parse(text)


@pytest.mark.parametrize("text", MLFLOW_REFUSES)
def test_what_mlflow_refuses_for_a_slip_is_refused(text: str) -> None:
    with pytest.raises(WrongUsage):
        parse(text)


WRONG = {
    "metrcs.auc > 1": ("there is no “metrcs.”: did you mean “metrics”?", 0),
    "status = 'FINISHED' AND attributes.statsu = 'x'": (
        "no field “attributes.statsu”: did you mean “attributes.status”?",
        24,
    ),
    "metrics.auc >": ("here should be a value", 13),
    "metrics.auc = 'x'": ("metrics are compared with numbers without quotes, not with 'x'", 14),
    "metrics.auc <<< 1": ("here should be a value", 13),
    "metrics.auc": ("metrics.auc is compared with nothing", 11),
    "(metrics.a>1": ("here should be a closing parenthesis", 12),
    "metrics.a > 1)": ("nothing should stand here but AND or OR", 13),
    "metrics.a=1 metrics.b=2": ("here should be AND", 12),
    "metrics.a=1 AND": ("here should be a field such as", 15),
    "params.x = 'abc": ("a ' that is never closed", 11),
    "params.x = abc": ("here should be a value: a number, or a text in quotes", 11),
    "params.x LIKE 5": ("LIKE is for texts", 9),
    "params.x IN 5": ("here should be a list", 12),
    "status = 'finishd'": ("status is one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED, not “finishd”", 9),
    "status = 3": ("status is compared with a text: put it in quotes", 9),
    "state = 'gone'": ("state is one of active, deleted, not “gone”", 8),
    "start_time > 'yesterday'": ("“yesterday” is no time", 13),
    "duration > 'long'": ("“long” is no duration", 11),
    "has_model_version = 5": ("has_model_version is true or false", 20),
    "status IN ('FINISHED', 'DONE')": ("not “DONE”", 23),
    "start_time > 1e400": ("1e400 is beyond all time", 13),
    "start_time > 99999999999999999999": ("is beyond all time", 13),
    "experiment.id = 1.5": ("experiment.id is compared with a text", 16),
    "artifact.size > 5": ("there is no field “artifact.size”", 0),
    "metrics.a > 1;": ("", 13),
    "¿": ("here should be a field", 0),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_a_caret_under_it(text: str) -> None:
    why, place = WRONG[text]
    with pytest.raises(WrongUsage) as caught:
        Selection(filter=text)
    told, shown, caret = str(caught.value).split("\n")
    assert why in told
    assert shown == f"  {text}"
    assert caret == "  " + " " * place + "^", (told, caret)


def test_what_is_nested_without_end_is_refused() -> None:
    assert parse("(" * 40 + "metrics.a > 1" + ")" * 40) == parse("metrics.a > 1")
    for text in ("(" * 5000 + "metrics.a > 1" + ")" * 5000, "NOT " * 5000 + "metrics.a > 1"):
        with pytest.raises(WrongUsage, match="nested too deep"):
            parse(text)


def test_what_a_place_cannot_tell_is_refused() -> None:
    with pytest.raises(WrongUsage, match="known in bundles only"):
        chooser(Selection(filter="artifact.path LIKE 'model%'"), FACTS)
    with pytest.raises(WrongUsage, match="known only where model versions are"):
        chooser(Selection(filter="not has_model_version"), Facts.of([CHURN], knows_artifacts=True))


PUSHED = {
    "metrics.r2 > 0.3": "metrics.`r2` > 0.3",
    "metrics.r2 > 3e20 and params.x = 'a'": "metrics.`r2` > 3e20 AND params.`x` = 'a'",
    "tags.`a b` LIKE 'x y%' and tags.q = \"it's\"": "tags.`a b` LIKE 'x y%' AND tags.`q` = \"it's\"",
    "metrics.a between 1 and 2": "metrics.`a` >= 1.0 AND metrics.`a` <= 2.0",
    "start_time >= 1970-01-02 and state = 'deleted'": "attributes.start_time >= 86400000",
    "run_id in ('a', 'b') and run_name != 'c'": "attributes.run_id IN ('a', 'b') AND attributes.run_name != 'c'",
    "dataset.name = 'iris'": "dataset.name = 'iris'",
    "params.x is null and not tags.y is null": "params.`x` IS NULL AND tags.`y` IS NOT NULL",
    # what a server does not understand, or might understand otherwise, stays here
    "metrics.r2 > 0.3 and params.x = 5": "metrics.`r2` > 0.3",
    "metrics.a = 1 or metrics.b = 2": "",
    "not metrics.a = 1": "",
    "metrics.a != 0": "",
    "metrics.a in (1, 2)": "",
    "params.x ILIKE 'ÄB%'": "",
    "params.x LIKE 'a\\_b'": "",
    "params.x LIKE '[a]'": "",
    "params.x LIKE '%a' and params.x LIKE 'a_b' and params.x LIKE 'a.b%'": "",
    "params.x ILIKE 'a b%' and params.y LIKE 'a'": "params.`x` ILIKE 'a b%' AND params.`y` LIKE 'a'",
    "params.x = '\"' and params.y = 'it''s \"x\"'": "params.`x` = '\"'",
    "params.x in ('a')": "",
    "tags.x is null and duration > 5m and experiment.name = 'x'": "tags.`x` IS NULL",
    "metrics.a > 1e999": "",
}


@pytest.mark.parametrize("text", PUSHED)
def test_a_server_is_asked_for_what_it_understands_alike(text: str) -> None:
    assert pushed(parse(text), Dialect(null_checks=True)) == PUSHED[text]


def test_no_server_is_asked_more_than_it_can_take() -> None:
    many = pushed(parse(" AND ".join(f"tags.k{number} != 'x'" for number in range(200))), Dialect())
    assert many.count(" AND ") == 39
    ids = ", ".join(f"'{number}'" for number in range(501))
    assert pushed(parse(f"run_id NOT IN ({ids}) AND status = 'FAILED'"), Dialect()) == "attributes.status = 'FAILED'"


def test_an_older_server_is_not_asked_for_what_it_does_not_know() -> None:
    old = Dialect(datasets=False, null_checks=False)
    assert pushed(parse("dataset.name = 'x' and params.y is null and params.z = '1'"), old) == "params.`z` = '1'"


def test_only_the_experiments_and_the_stage_that_are_asked_for_are_searched() -> None:
    others = [CHURN, Experiment("8", "prices"), Experiment("9", "chairs")]
    expression = parse("experiment.name LIKE 'ch%' and metrics.a > 1 and not experiment.id = 9 and state = 'deleted'")
    assert narrowed(expression, others) == [CHURN]
    assert state(expression) == "deleted"
    assert state(parse("state = 'deleted' or metrics.a > 1")) == "all"
