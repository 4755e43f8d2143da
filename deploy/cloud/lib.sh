# shellcheck shell=bash disable=SC2034 # the scripts that source this use what looks unused here
# What the scripts of this folder share: options, settings, and running commands or only showing them.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
DRY_RUN=false
NETWORK=llm
SUBNET=llm
# Where Google's balancers and health checks come from, and its tunnel for SSH (their documentation has the list).
HEALTH_CHECK_RANGES=130.211.0.0/22,35.191.0.0/16
SSH_TUNNEL_RANGE=35.235.240.0/20
SUBNET_RANGE=10.10.0.0/24
PROXY_RANGE=10.10.1.0/24
LLM_PORT=8001
LLM_KEY_SECRET=llm-service-api-key
BACKEND_KEY_SECRET=backend-api-key
DATABASE_SECRET=database-url

die() {
    printf 'error: %s\n' "$1" >&2
    exit "${2:-1}"
}

# Reads the options every script has, then cloud.env; the environment wins over the file.
begin() {
    local what="$1" name line
    shift
    while (($#)); do
        case "$1" in
            --dry-run) DRY_RUN=true ;;
            -h | --help)
                printf '%s\n\nusage: %s [--dry-run]\n  --dry-run  print every command, run none\n' "$what" "$(basename "$0")"
                exit 0
                ;;
            *) die "unknown option $1 (there is only --dry-run)" 2 ;;
        esac
        shift
    done
    local file="${CLOUD_ENV:-$HERE/cloud.env}"
    if [[ -f "$file" ]]; then
        while IFS= read -r line || [[ -n "$line" ]]; do
            line="${line%$'\r'}"
            [[ "$line" =~ ^([A-Z][A-Z0-9_]*)=(.*)$ ]] || continue
            name="${BASH_REMATCH[1]}"
            [[ -n "${!name:-}" ]] || printf -v "$name" '%s' "${BASH_REMATCH[2]}"
        done <"$file"
    fi
}

# Stops unless every named setting has a value.
need() {
    local name
    for name in "$@"; do
        [[ -n "${!name:-}" ]] || die "$name is not set: copy cloud.env.example to cloud.env and fill it in" 2
    done
}

# Stops unless every named program is there; a dry run needs none.
need_programs() {
    local name
    $DRY_RUN && return 0
    for name in "$@"; do
        command -v "$name" >/dev/null || die "$name is not installed"
    done
}

# Runs a command after showing it; a dry run only shows it.
run() {
    local shown
    printf -v shown '%q ' "$@"
    printf '+ %s\n' "${shown% }"
    $DRY_RUN || "$@"
}

# Runs gcloud in the project.
cloud() {
    run gcloud --project="$PROJECT" --quiet "$@"
}

# create WHAT… NAME -- OPTIONS…: creates what does not exist yet, so that a script can be run again.
# A dry run asks nothing and shows the creation. KIND, where gcloud wants one, stands between "create" and the name.
create() {
    local what=() scope=()
    while [[ "$1" != -- ]]; do
        what+=("$1")
        shift
    done
    shift
    local name="${what[-1]}" option
    unset 'what[-1]'
    for option in "$@"; do
        case "$option" in
            --region=* | --zone=* | --router=* | --location=* | --global) scope+=("$option") ;;
        esac
    done
    if ! $DRY_RUN && gcloud --project="$PROJECT" --quiet "${what[@]}" describe "$name" "${scope[@]}" >/dev/null 2>&1; then
        printf '= %s %s is there\n' "${what[*]}" "$name"
        return 0
    fi
    cloud "${what[@]}" create ${KIND:+"$KIND"} "$name" "$@"
}
