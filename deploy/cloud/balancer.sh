#!/usr/bin/env bash
# Third: an internal balancer with TLS in front of the VM, under a name that only this network knows.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "Makes the internal balancer with TLS, health checks by readiness, and its name." "$@"
need PROJECT REGION ZONE VM_NAME LLM_DOMAIN TLS_CERTIFICATE TLS_PRIVATE_KEY
need_programs gcloud
$DRY_RUN || for file in "$TLS_CERTIFICATE" "$TLS_PRIVATE_KEY"; do
    [[ -r "$file" ]] || die "$file cannot be read"
done
in_region=(--region="$REGION")

create compute instance-groups unmanaged llm -- --zone="$ZONE"
if ! $DRY_RUN && gcloud --project="$PROJECT" --quiet compute instance-groups unmanaged list-instances llm \
    --zone="$ZONE" --format='value(instance)' | grep -q "/$VM_NAME\$"; then
    printf '= the group has %s\n' "$VM_NAME"
else
    cloud compute instance-groups unmanaged add-instances llm --zone="$ZONE" --instances="$VM_NAME"
fi
cloud compute instance-groups unmanaged set-named-ports llm --zone="$ZONE" --named-ports="llm:$LLM_PORT"

# /readyz needs no key, and says no while the models load and while the service drains.
KIND=http create compute health-checks llm-ready -- "${in_region[@]}" --port="$LLM_PORT" --request-path=/readyz \
    --check-interval=5s --timeout=3s --healthy-threshold=1 --unhealthy-threshold=2
# Streams may last as long as the service lets a request last (LLM_REQUEST_TIMEOUT_S, 300 s), and a little more.
create compute backend-services llm -- "${in_region[@]}" --load-balancing-scheme=INTERNAL_MANAGED --protocol=HTTP \
    --port-name=llm --health-checks=llm-ready --health-checks-region="$REGION" --timeout=310s \
    --connection-draining-timeout=45s --locality-lb-policy=LEAST_REQUEST
if ! $DRY_RUN && gcloud --project="$PROJECT" --quiet compute backend-services describe llm "${in_region[@]}" \
    --format='value(backends[].group)' | grep -q instanceGroups/llm; then
    printf '= the balancer knows the group\n'
else
    cloud compute backend-services add-backend llm "${in_region[@]}" --instance-group=llm \
        --instance-group-zone="$ZONE" --balancing-mode=UTILIZATION
fi
create compute url-maps llm -- "${in_region[@]}" --default-service=llm
create compute ssl-certificates llm -- "${in_region[@]}" --certificate="$TLS_CERTIFICATE" \
    --private-key="$TLS_PRIVATE_KEY"
create compute target-https-proxies llm -- "${in_region[@]}" --url-map=llm --ssl-certificates=llm
create compute addresses llm -- "${in_region[@]}" --subnet="$SUBNET" --purpose=GCE_ENDPOINT
create compute forwarding-rules llm -- "${in_region[@]}" --load-balancing-scheme=INTERNAL_MANAGED \
    --network="$NETWORK" --subnet="$SUBNET" --address=llm --ports=443 --target-https-proxy=llm \
    --target-https-proxy-region="$REGION"

create dns managed-zones llm -- --dns-name="$LLM_DOMAIN." --visibility=private --networks="$NETWORK" \
    --description="The LLM service"
address='ADDRESS-OF-llm'
$DRY_RUN || address="$(gcloud --project="$PROJECT" --quiet compute addresses describe llm "${in_region[@]}" \
    --format='value(address)')"
if $DRY_RUN || ! gcloud --project="$PROJECT" --quiet dns record-sets describe "$LLM_DOMAIN." --zone=llm --type=A \
    >/dev/null 2>&1; then
    cloud dns record-sets create "$LLM_DOMAIN." --zone=llm --type=A --ttl=60 --rrdatas="$address"
fi
echo "Next: backend.sh"
