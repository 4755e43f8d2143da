#!/usr/bin/env bash
# Runs on the VM, as root: unpacks a release beside the one that runs, sets it up, switches over, waits for readiness;
# goes back to the one before when the new one does not get ready. llm-vm.sh calls it.
#   LLM_MODEL=… KEY_SECRET=… install-llm-service.sh RELEASE.tar.gz
#   install-llm-service.sh --dry-run RELEASE.tar.gz
set -euo pipefail

DRY_RUN=false
if [[ "${1:-}" == --dry-run ]]; then
    DRY_RUN=true
    shift
fi
[[ $# -eq 1 ]] || {
    echo "usage: install-llm-service.sh [--dry-run] RELEASE.tar.gz" >&2
    exit 2
}
archive="$1"
LLM_MODEL="${LLM_MODEL:-Qwen/Qwen3-1.7B}"
KEY_SECRET="${KEY_SECRET:-llm-service-api-key}"
READY_S="${READY_S:-1800}"
# Tests put everything below another root.
PREFIX="${PREFIX:-}"
home="$PREFIX/opt/llm-service"
configuration="$PREFIX/etc/llm-service"
release="$home/$(date -u +%Y%m%d-%H%M%S)-$$"
unit="$PREFIX/etc/systemd/system/llm-service.service"

run() {
    local shown
    printf -v shown '%q ' "$@"
    printf '+ %s\n' "${shown% }"
    $DRY_RUN || "$@"
}

# The key goes from the store into a file that only root may read (systemd reads it before it drops its rights).
write_configuration() {
    local key
    key="$(gcloud secrets versions access latest --secret="$KEY_SECRET")" && [[ -n "$key" ]] || {
        echo "the key cannot be read from the secret $KEY_SECRET; what runs stays as it is" >&2
        return 1
    }
    install -d -m 755 "$configuration"
    umask 077
    {
        printf 'LLM_SERVICE_API_KEY=%s\n' "$key"
        printf 'LLM_MODEL=%s\n' "$LLM_MODEL"
    } >"$configuration/env.new"
    mv "$configuration/env.new" "$configuration/env"
    umask 022
}

wait_until_ready() {
    local end=$((SECONDS + READY_S))
    until curl --silent --fail --max-time 5 --output /dev/null http://127.0.0.1:8001/readyz; do
        ((SECONDS < end)) || return 1
        sleep 2
    done
}

switch_to() {
    run ln -sfn "$1" "$home/current"
    run install -m 644 "$home/current/deploy/cloud/llm-service.service" "$unit"
    run systemctl daemon-reload
    run systemctl enable llm-service.service
    run systemctl restart llm-service.service
}

before="$(readlink "$home/current" 2>/dev/null || true)"
id llm-service >/dev/null 2>&1 || run useradd --system --user-group --no-create-home --shell /usr/sbin/nologin llm-service
run install -d -m 755 "$release"
run tar -xzf "$archive" -C "$release" --no-same-owner
run python3 "$release/dev.py" setup --llm-only
run write_configuration
switch_to "$release"
if ! run wait_until_ready; then
    echo "not ready after $READY_S s; the last lines of its log:" >&2
    journalctl --unit=llm-service.service --lines=20 --no-pager >&2 || true
    if [[ -n "$before" ]]; then
        echo "going back to $before" >&2
        switch_to "$before"
    fi
    exit 1
fi
echo "ready: $release (before: ${before:-none}; remove old ones in $home when they are no longer wanted)"
