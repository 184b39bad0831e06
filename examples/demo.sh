#!/usr/bin/env bash
# Everything once, on real parts: a data directory of its own, the sample sessions, questions, MCP, the doctor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PENCHANT_HOME="$PWD/.demo/home"
if [ ${#PENCHANT_HOME} -gt 80 ]; then  # a socket's path ends at 107 bytes
    PENCHANT_HOME="$(mktemp -d)/home"
fi
rm -rf "$PENCHANT_HOME"
mkdir -p "$PENCHANT_HOME"
chmod 700 "$PENCHANT_HOME"
trap 'penchant down >/dev/null 2>&1 || true' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() { printf '\n$ %s\n' "$(printf '%q ' "$@" | sed 's/\\ / /g; s/ $//')"; "$@"; }

# The indexer and the title writer work in the background: wait until nothing is left, at most a minute.
settle() {
    for _ in $(seq 120); do
        if penchant status --json | python -c '
import json, sys
status = json.load(sys.stdin)
index, jobs = status["index"], status["jobs"].values()
busy = index["done"] < index["total"] or any(job["queued"] + job["running"] for job in jobs)
sys.exit(1 if busy else 0)'; then
            return
        fi
        sleep 0.5
    done
}

say "A daemon on a fresh data directory"
run penchant up

say "Sessions that were held with an assistant"
run penchant import examples/*.jsonl
run penchant remember "Release branches are cut on Thursdays, never on Fridays." --kind decision --project orion
settle
run penchant sessions

say "What was said, with the reasons"
run penchant recall "when do we cut release branches?" -k 3 --explain
run penchant recall "which day do releases happen, and why not the last day of the week" -k 3

say "The same question as an assistant asks it, over MCP"
printf '%s\n' \
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"demo","version":"1"}}}' \
    '{"jsonrpc":"2.0","method":"notifications/initialized"}' \
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"recall","arguments":{"query":"when do we cut release branches?","limit":1}}}' |
    penchant mcp | python -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("id") == 2:
        print(json.dumps(message["result"].get("structuredContent", message["result"]), indent=2, ensure_ascii=False))'

say "A second import adds nothing"
run penchant import examples/*.jsonl

say "Proof that all of it is whole and can be found"
run penchant doctor || true
run penchant status

say "The end"
run penchant down
echo "What was kept is in $PENCHANT_HOME. Inferring preferences from it is not built yet."
