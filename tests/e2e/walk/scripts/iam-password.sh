#!/bin/bash
# A token with the user's password, configured as INDIGO IAM's script for it is. Written for the walk.
: "${IAM_CLIENT_SECRET:?}" "${IAM_USER:?}" "${IAM_PASSWORD:?}"
reply=$(curl -sS -m 20 "$IAM_ENDPOINT" \
    --data-urlencode "client_id=${IAM_CLIENT_ID:-iam-client}" \
    --data-urlencode "client_secret=$IAM_CLIENT_SECRET" \
    --data-urlencode grant_type=password \
    --data-urlencode "username=$IAM_USER" \
    --data-urlencode "password=$IAM_PASSWORD" \
    --data-urlencode 'scope=openid profile email') || exit 1
echo "export IAM_ACCESS_TOKEN=\"$(jq -er .access_token <<< "$reply")\""
