# The addresses and names of the cluster that hack/up makes, and what both hack/up and hack/down must know of it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
OUT=${OXIKUBE_OUTPUT:-$ROOT/_output}

# A cluster that stands keeps the names and ranges that it was made with, whatever the environment says by now.
if [[ -r $OUT/run/cluster.env ]]; then . "$OUT/run/cluster.env"; fi

# Two clusters on one machine need different names and ranges.
CLUSTER=${OXIKUBE_CLUSTER:-oxikube}
HOST_NET=${OXIKUBE_HOST_NET:-172.30.0}          # node network, a /24: .1 is the API server, .10+N is node N
POD_CIDR=${OXIKUBE_POD_CIDR:-10.244.0.0/16}
SERVICE_CIDR=${OXIKUBE_SERVICE_CIDR:-10.96.0.0/16}
SERVICE_PREFIX=${SERVICE_CIDR%.*.*}              # 10.96: the API is .0.1, DNS is .0.10
DNS_IP=$SERVICE_PREFIX.0.10
API_IP=$HOST_NET.1
API_PORT=${OXIKUBE_API_PORT:-6443}
OUTSIDE=${OXIKUBE_OUTSIDE:-yes}                  # no: nodes reach nothing but this machine
BRIDGE=${CLUSTER:0:12}-br
CGROUP=$CLUSTER

save_names() {
    mkdir -p "$OUT/run"
    cat >"$OUT/run/cluster.env" <<EOF
OXIKUBE_CLUSTER=$CLUSTER
OXIKUBE_HOST_NET=$HOST_NET
OXIKUBE_POD_CIDR=$POD_CIDR
OXIKUBE_SERVICE_CIDR=$SERVICE_CIDR
OXIKUBE_API_PORT=$API_PORT
OXIKUBE_OUTSIDE=$OUTSIDE
EOF
}

node_name() { echo "node-$1"; }
node_ip() { echo "$HOST_NET.$((10 + $1))"; }
node_netns() { echo "$CLUSTER-node-$1"; }
node_dir() { echo "$OUT/nodes/$1"; }
node_count() { cat "$OUT/run/nodes" 2>/dev/null || echo 0; }
# Runs a command on node N's network (nsenter keeps the cgroup mounts, which `ip netns exec` hides).
on_node() { echo nsenter --net="/run/netns/$(node_netns "$1")"; }
