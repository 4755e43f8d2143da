#!/usr/bin/env bash
# Second: the GPU VM with the LLM service on it. Run it again to upgrade the service to this checkout's last commit.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "Makes the GPU VM and installs (or upgrades) the LLM service on it." "$@"
need PROJECT REGION ZONE VM_NAME VM_MACHINE_TYPE VM_IMAGE_FAMILY VM_IMAGE_PROJECT VM_DISK_GB LLM_MODEL
need_programs gcloud git

# Secure boot loads signed drivers only, and NVIDIA's on these images is not.
create compute instances "$VM_NAME" -- --zone="$ZONE" --machine-type="$VM_MACHINE_TYPE" \
    --image-family="$VM_IMAGE_FAMILY" --image-project="$VM_IMAGE_PROJECT" \
    --boot-disk-size="${VM_DISK_GB}GB" --boot-disk-type=pd-balanced --maintenance-policy=TERMINATE \
    --network-interface="network=$NETWORK,subnet=$SUBNET,no-address" --tags=llm-service \
    --service-account="llm-vm@$PROJECT.iam.gserviceaccount.com" --scopes=cloud-platform \
    --no-shielded-secure-boot --shielded-vtpm --shielded-integrity-monitoring

# Only what is committed travels: no .env, no models, no data.
archive="${TMPDIR:-/tmp}/llm-service-release.tar.gz"
run git -C "$ROOT" archive --format=tar.gz --output="$archive" HEAD dev.py devtools service_kit llm_service deploy/cloud
# A VM that was made just now takes a minute until it answers.
attempts=30
until cloud compute ssh "$VM_NAME" --zone="$ZONE" --tunnel-through-iap --command=true; do
    ((--attempts)) || die "$VM_NAME does not answer through the tunnel"
    sleep 10
done
cloud compute scp "$archive" "$HERE/install-llm-service.sh" "$VM_NAME:/tmp/" --zone="$ZONE" --tunnel-through-iap
cloud compute ssh "$VM_NAME" --zone="$ZONE" --tunnel-through-iap \
    --command="sudo LLM_MODEL=${LLM_MODEL@Q} KEY_SECRET=$LLM_KEY_SECRET bash /tmp/install-llm-service.sh /tmp/llm-service-release.tar.gz"
run rm -f "$archive"
echo "Next: balancer.sh"
