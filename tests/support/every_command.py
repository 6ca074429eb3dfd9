"""Every command, as one line each: for promises that all of them keep.

`{bundle}` and `{store}` are a bundle and a file store with an experiment 1 and runs `aaaa…` and `bbbb…`; `{new}` and
`{new_store}` are not there yet; `{evil}` and `{evil_id}` are a name and an id.
"""

COMMANDS = {
    "export": "export {store} {new} --quiet",
    "import": "import {bundle} {new_store}",
    "sync": "sync {store} {new_store}",
    "verify": "verify {bundle} {store}",
    "diff": "diff {bundle} {store}",
    "doctor": "doctor {store}",
    "check": "check {bundle}",
    "inspect": "inspect {bundle}",
    "snapshots": "snapshots {bundle}",
    "forget": "forget {bundle} --keep-last 1 --dry-run",
    "prune": "prune {bundle} --dry-run",
    "copy": "copy {bundle} {new}",
    "unlock": "unlock {bundle}",
    "runs list": "runs list {bundle}",
    "runs show": "runs show {bundle} aaaa",
    "runs compare": "runs compare {bundle} aaaa bbbb",
    "runs csv": "runs csv {bundle} --output {new}",
    "runs snippet": "runs snippet {bundle} aaaa",
    "runs source": "runs source {bundle} aaaa",
    "runs reproduce": "runs reproduce {bundle} aaaa --into {new} --dry-run",
    "runs rename": "runs rename {store} {evil_id} {evil}",
    "runs tag": "runs tag {store} a=b --all",
    "runs untag": "runs untag {store} --tag a --all --dry-run",
    "runs delete": "runs delete {store} --experiment 'e*' --dry-run",
    "runs restore": "runs restore {store} --experiment 'e*' --dry-run",
    "experiments list": "experiments list {bundle}",
    "experiments show": "experiments show {bundle} 1",
    "experiments rename": "experiments rename {store} {evil} y --dry-run",
    "experiments tag": "experiments tag {store} 1 a=b --dry-run",
    "experiments untag": "experiments untag {store} 1 a --dry-run",
    "experiments delete": "experiments delete {store} 'e*' --dry-run",
    "experiments restore": "experiments restore {store} 'e*' --dry-run",
    "artifacts list": "artifacts list {bundle} aaaa",
    "artifacts get": "artifacts get {bundle} aaaa --into {new}",
}
