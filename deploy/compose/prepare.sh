#!/usr/bin/env bash
# Makes what docker-compose.yml mounts: a throw-away mesh root, certificates as a mesh would issue them
# (empty subject, SPIFFE ID as URI SAN) and a key-encryption key. Not for production.
#   bash deploy/compose/prepare.sh [folder]
set -euo pipefail
umask 077

folder=${1:-$(dirname "$0")/secrets}
trust_domain=cluster.local
days=365

if [[ -e $folder/ca.pem ]]; then
  echo "$folder/ca.pem exists; delete the folder to start again" >&2
  exit 1
fi
mkdir -p "$folder"
cd "$folder"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" \
  -keyout ca.key -out ca.pem -subj "/O=$trust_domain" 2>/dev/null

issue() { # file, SPIFFE ID
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / \
    -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$days" -out "$1.pem" \
    -extfile <(printf '%s\n' "subjectAltName=critical,URI:$2" 'basicConstraints=critical,CA:FALSE' \
      'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth,clientAuth') 2>/dev/null
  rm "$1.csr"
}
issue sts "spiffe://$trust_domain/ns/mesh-sts/sa/mesh-sts"
issue frontend "spiffe://$trust_domain/ns/boutique/sa/frontend"
issue checkout "spiffe://$trust_domain/ns/boutique/sa/checkout"

openssl rand -base64 32 >k1
# The containers run as other users; the folder itself stays closed to everybody else on this machine.
chmod 0644 ca.pem sts.pem sts.key k1
