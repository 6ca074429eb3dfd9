#!/bin/sh
# Proves that a backup can be restored: back up, lose the source, import into an empty server, verify.
#
#     restore-drill.sh SOURCE BUNDLE TARGET
#
# SOURCE and TARGET are servers, BUNDLE is the backup (addresses, or names of runsync.toml). TARGET is an empty server:
#     mlflow server --backend-store-uri sqlite:///drill.db --artifacts-destination ./drill-artifacts --port 5001
# After the backup nothing is read from SOURCE any more. LOSE_SOURCE, where it is set, is a command that makes it go
# away: for a drill with a copy of the server, not with the one people work on. SOURCE may be "-": the backup is
# restored as last night left it.
set -eu

if [ $# -ne 3 ]; then
    echo "usage: restore-drill.sh SOURCE BUNDLE TARGET" >&2
    exit 2
fi
source=$1 bundle=$2 target=$3
begun=$(date +%s)

if [ "$source" != - ]; then
    echo "1. Back up $bundle"
    runsync export "$source" "$bundle"
fi
if [ -n "${LOSE_SOURCE:-}" ]; then
    echo "2. The source is lost: $LOSE_SOURCE"
    sh -c "$LOSE_SOURCE"
fi
echo "3. Is the backup sound? Every byte is read"
runsync check "$bundle"
echo "4. Restore it"
runsync import "$bundle" "$target" --id-map ids.json
echo "5. Is everything there, point by point and byte by byte?"
runsync verify "$bundle" "$target" --verify-artifacts
echo "Restored and verified in $(( $(date +%s) - begun )) s. Old and new ids are in ids.json."
