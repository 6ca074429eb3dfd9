# Databricks notebook source
# MAGIC %md
# MAGIC # Nightly export
# MAGIC Backs up this workspace's MLflow experiments with runsync, and removes snapshots that the retention does not keep.
# MAGIC
# MAGIC **Where to:** `s3://bucket/prefix` is the safer place: locks are conditional writes there, so an export and a prune
# MAGIC never meet, wherever they run. In `/Volumes` a bundle is written as whole files, one after the other, then
# MAGIC renamed; nothing is appended. What is not sure there: volumes have no hard links, so locks fall back to creating a
# MAGIC file, and no run on a real volume has proved that two machines never create the same one. Let only this job, which
# MAGIC runs once at a time, write into it, and run `runsync check` on it from time to time.

# COMMAND ----------

# MAGIC %md
# MAGIC Until runsync is on a package index: `pip wheel --no-deps .` in its checkout, put the wheel into a volume, and write
# MAGIC its path here, as `"runsync[databricks] @ file:///Volumes/catalog/schema/volume/runsync-0.1.0-py3-none-any.whl"`.

# COMMAND ----------

# MAGIC %pip install "runsync[databricks]"

# COMMAND ----------

import os

import runsync

dbutils = globals().get("dbutils")


def parameter(name: str, default: str) -> str:
    """A parameter of the job; outside Databricks the environment's."""
    if dbutils is None:
        return os.environ.get(f"NIGHTLY_{name.upper()}", default)
    dbutils.widgets.text(name, default)
    return dbutils.widgets.get(name)


target = parameter("target", "")
daily = int(parameter("keep_daily", "7"))
weekly = int(parameter("keep_weekly", "5"))
monthly = int(parameter("keep_monthly", "12"))
secret_scope = parameter("secret_scope", "")

# COMMAND ----------

# `databricks` is who the environment says; runsync does not find a notebook's own identity. With a secret scope it is a
# service principal (keys client-id and client-secret), whose tokens are renewed. Without one it is the token of this
# run: enough to try it out, and not renewed, should an export outlast it.
if dbutils is not None:
    context = dbutils.notebook.entry_point.getDbutils().notebook().getContext()
    os.environ["DATABRICKS_HOST"] = context.apiUrl().get()
    os.environ["DATABRICKS_AUTH_TYPE"] = "oauth-m2m" if secret_scope else "pat"
    if secret_scope:
        os.environ["DATABRICKS_CLIENT_ID"] = dbutils.secrets.get(secret_scope, "client-id")
        os.environ["DATABRICKS_CLIENT_SECRET"] = dbutils.secrets.get(secret_scope, "client-secret")
    else:
        os.environ["DATABRICKS_TOKEN"] = context.apiToken().get()

# COMMAND ----------

# What the workspace has and the backup need not hold (docs/left-behind.md); anything else that stays behind fails the job.
ACCEPT = ["notebooks", "registered-models", "prompts", "logged-models", "traces"]
exported = runsync.export("databricks", target, skip_unchanged=True, accept=ACCEPT, retry_lock=3600)
print(exported.to_document())
if exported.exit_code:
    raise RuntimeError(
        f"export: exit code {exported.exit_code}: {exported.stopped or exported.undone or exported.left_behind}"
    )

# COMMAND ----------

policy = runsync.Policy(daily=daily, weekly=weekly, monthly=monthly)
forgotten = runsync.forget(target, policy, prune=True, retry_lock=3600)
print(forgotten.to_document())
if forgotten.exit_code:
    raise RuntimeError(f"forget: exit code {forgotten.exit_code}")
