#!/bin/bash
# A token by a code, configured as INDIGO IAM's script for it is; the user says when to look. Written
# for the walk.
client=(--data-urlencode "client_id=${IAM_DEVICE_CODE_CLIENT_ID:?}")
client+=(--data-urlencode "client_secret=${IAM_DEVICE_CODE_CLIENT_SECRET:?}")
begun=$(curl -sS -m 20 "$IAM_DEVICE_CODE_ENDPOINT" "${client[@]}" \
    --data-urlencode "scope=${IAM_DEVICE_CODE_CLIENT_SCOPES:-openid profile email offline_access}")
jq -r '"Open \(.verification_uri)\nYour code: \(.user_code)\n"' <<< "$begun" >&2
while echo 'Approved? [Y/N]' >&2 && read -r answer && [ "$answer" = Y ]; do
    reply=$(curl -sS -m 20 "$IAM_TOKEN_ENDPOINT" "${client[@]}" \
        --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:device_code \
        --data-urlencode "device_code=$(jq -r .device_code <<< "$begun")" \
        ${IAM_CLIENT_AUDIENCE:+--data-urlencode "audience=$IAM_CLIENT_AUDIENCE"})
    if token=$(jq -er .access_token <<< "$reply"); then
        echo "export IAM_ACCESS_TOKEN=\"$token\""
        exit 0
    fi
done
exit 1
