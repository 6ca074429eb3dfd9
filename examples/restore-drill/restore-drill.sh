#!/bin/sh
# Proves that a backup can be restored: back up, lose the source, import into an empty server, verify.
#
#     restore-drill.sh SOURCE BUNDLE TARGET
#
# SOURCE and TARGET are servers, BUNDLE is the backup (addresses, or names of runsync.toml). TARGET is an empty server:
#     mlflow server --backend-store-uri sqlite:///drill.db --artifacts-destination ./drill-artifacts --port 5001
# After the backup nothing is read from SOURCE any more. LOSE_SOURCE, where it is set, is a command that makes it go
# away: for a drill with a copy of the server, not with the one people work on. SOURCE may be "-": the backup is
# restored as last night left it. ACCEPT, where it is set, names what may stay behind: "registered-models,traces".
#
# The drill goes on where something stays behind, to the end, and then says so. Exit code 0: all came back, but for
# what was accepted, by ACCEPT or in runsync.toml, and the last line names that; 4: not all did.
set -eu

if [ $# -ne 3 ]; then
    echo "usage: restore-drill.sh SOURCE BUNDLE TARGET" >&2
    exit 2
fi
source=$1 bundle=$2 target=$3
begun=$(date +%s)
lost=""

step() { # runs a command; exit codes 3 (partly done) and 4 (not all is there) are told at the end
    code=0
    "$@" || code=$?
    case $code in
        0) ;;
        3 | 4) lost="$lost $2" ;;
        *) exit "$code" ;;
    esac
}

if [ "$source" != - ]; then
    echo "1. Back up $bundle"
    step runsync export "$source" "$bundle" ${ACCEPT:+--accept "$ACCEPT"}
fi
if [ -n "${LOSE_SOURCE:-}" ]; then
    echo "2. The source is lost: $LOSE_SOURCE"
    sh -c "$LOSE_SOURCE"
fi
echo "3. Is the backup sound? Every byte is read"
runsync check "$bundle"
echo "4. Restore it"
step runsync import "$bundle" "$target" --id-map ids.json ${ACCEPT:+--accept "$ACCEPT"}
echo "5. Is everything there, point by point and byte by byte?"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
verify() {
    runsync verify "$bundle" "$target" --verify-artifacts ${ACCEPT:+--accept "$ACCEPT"} > "$report"
}
step verify verify
cat "$report"
left=$(sed -n '/^Not compared, as accepted/,/^[^ ]/s/^  \([^:[]*[^:[ ]\).*/, \1/p' "$report" | tr -d '\n')
took="$(( $(date +%s) - begun )) s. Old and new ids are in ids.json."
if [ -n "$lost" ]; then
    echo "NOT ALL CAME BACK: see what$lost told above. Restored the rest in $took"
    exit 4
fi
echo "Restored and verified${left:+, without what was accepted (${left#, }),} in $took"
