#!/usr/bin/env bash
# First: network, firewall, way out, secrets. Nothing of it listens to the internet.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "Makes the network, its firewall, the way out for downloads, and the secrets." "$@"
need PROJECT REGION BACKEND_NAME
need_programs gcloud openssl

cloud services enable compute.googleapis.com run.googleapis.com secretmanager.googleapis.com \
    artifactregistry.googleapis.com dns.googleapis.com iam.googleapis.com iap.googleapis.com

create compute networks "$NETWORK" -- --subnet-mode=custom
create compute networks subnets "$SUBNET" -- --region="$REGION" --network="$NETWORK" --range="$SUBNET_RANGE" \
    --enable-private-ip-google-access
# The balancer's own proxies live here; the service's port is open to them and to the health checks alone.
create compute networks subnets "$SUBNET-proxies" -- --region="$REGION" --network="$NETWORK" --range="$PROXY_RANGE" \
    --purpose=REGIONAL_MANAGED_PROXY --role=ACTIVE
create compute firewall-rules llm-from-balancer -- --network="$NETWORK" --direction=INGRESS --allow="tcp:$LLM_PORT" \
    --source-ranges="$PROXY_RANGE,$HEALTH_CHECK_RANGES" --target-tags=llm-service
create compute firewall-rules ssh-through-tunnel -- --network="$NETWORK" --direction=INGRESS --allow=tcp:22 \
    --source-ranges="$SSH_TUNNEL_RANGE" --target-tags=llm-service
# The VM has no address of its own on the internet; packages and models come through this.
create compute routers "$NETWORK-out" -- --region="$REGION" --network="$NETWORK"
create compute routers nats "$NETWORK-out" -- --region="$REGION" --router="$NETWORK-out" \
    --auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges

for secret in "$LLM_KEY_SECRET" "$BACKEND_KEY_SECRET"; do
    if ! $DRY_RUN && gcloud --project="$PROJECT" --quiet secrets describe "$secret" >/dev/null 2>&1; then
        printf '= secrets %s is there\n' "$secret"
        continue
    fi
    # From the generator straight into the store: on no command line, in no file.
    cloud secrets create "$secret" --replication-policy=automatic --data-file=- < <($DRY_RUN || openssl rand -hex 32 | tr -d '\n')
done
create secrets "$DATABASE_SECRET" -- --replication-policy=automatic

# One identity for the VM, one for the backend; each may read only the secrets it needs.
for account in llm-vm "$BACKEND_NAME"; do
    address="$account@$PROJECT.iam.gserviceaccount.com"
    if $DRY_RUN || ! gcloud --project="$PROJECT" --quiet iam service-accounts describe "$address" >/dev/null 2>&1; then
        cloud iam service-accounts create "$account"
    fi
done
allow() {
    cloud secrets add-iam-policy-binding "$1" --member="serviceAccount:$2@$PROJECT.iam.gserviceaccount.com" \
        --role=roles/secretmanager.secretAccessor
}
allow "$LLM_KEY_SECRET" llm-vm
allow "$LLM_KEY_SECRET" "$BACKEND_NAME"
allow "$BACKEND_KEY_SECRET" "$BACKEND_NAME"
allow "$DATABASE_SECRET" "$BACKEND_NAME"

cat <<TEXT
Next: the database's address, as one line on standard input and nowhere else:
  gcloud --project=$PROJECT secrets versions add $DATABASE_SECRET --data-file=-
then llm-vm.sh
TEXT
