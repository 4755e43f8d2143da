#!/usr/bin/env bash
# Fourth: the backend on Cloud Run, which brings TLS to the learners. Run it again to deploy the last commit.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "Builds the backend's image and runs it on Cloud Run." "$@"
need PROJECT REGION LLM_DOMAIN LLM_MODEL BACKEND_NAME BACKEND_MEMORY BACKEND_CPU BACKEND_MAX_INSTANCES
need_programs gcloud docker git

registry="$REGION-docker.pkg.dev"
version=COMMIT
$DRY_RUN || version="$(git -C "$ROOT" rev-parse --short=12 HEAD)"
image="$registry/$PROJECT/llm/backend:$version"

create artifacts repositories llm -- --location="$REGION" --repository-format=docker
cloud auth configure-docker "$registry"
run docker build --file "$ROOT/deploy/docker/backend.Dockerfile" --tag "$image" "$ROOT"
run docker push "$image"

variables=(
    "LLM_SERVICE_URL=https://$LLM_DOMAIN"
    "LLM_MODEL=$LLM_MODEL"
    LOG_FORMAT=json
    DATA_DIR=/tmp/data
)
secrets=(
    "LLM_SERVICE_API_KEY=$LLM_KEY_SECRET:latest"
    "BACKEND_API_KEY=$BACKEND_KEY_SECRET:latest"
    "DATABASE_URL=$DATABASE_SECRET:latest"
)
# The processor stays on between questions: vectors are made in the background. The key keeps strangers out, so that
# Cloud Run itself lets everybody come to the page. The new revision gets traffic once its start-up probe succeeds,
# for which Cloud Run allows 240 seconds.
cloud run deploy "$BACKEND_NAME" --image="$image" --region="$REGION" --port=8000 \
    --service-account="$BACKEND_NAME@$PROJECT.iam.gserviceaccount.com" \
    --memory="$BACKEND_MEMORY" --cpu="$BACKEND_CPU" --no-cpu-throttling --cpu-boost \
    --min-instances=1 --max-instances="$BACKEND_MAX_INSTANCES" --concurrency=80 --timeout=300 \
    --network="$NETWORK" --subnet="$SUBNET" --vpc-egress=private-ranges-only \
    --startup-probe=httpGet.path=/readyz,periodSeconds=5,timeoutSeconds=4,failureThreshold=48 \
    --liveness-probe=httpGet.path=/livez,periodSeconds=15,timeoutSeconds=4,failureThreshold=3 \
    --set-env-vars="$(IFS=,; printf '%s' "${variables[*]}")" \
    --set-secrets="$(IFS=,; printf '%s' "${secrets[*]}")" \
    --allow-unauthenticated
echo "Back to the revision before: gcloud run services update-traffic $BACKEND_NAME --region=$REGION --to-revisions=REVISION=100"
