# The machine's side of the network: a bridge for the nodes, one namespace a node, and routes to pods and services.

make_network() {
    local nodes=$1 n
    turn_forwarding_on
    if ! ip link show "$BRIDGE" &>/dev/null; then
        ip link add "$BRIDGE" type bridge
        ip addr add "$API_IP/24" dev "$BRIDGE"
    fi
    ip link set "$BRIDGE" up
    # A stray packet for a pod or service ends here until a real route stands.
    ip route replace unreachable "$POD_CIDR" metric 4096
    ip route replace unreachable "$SERVICE_CIDR" metric 4096
    for n in $(seq "$nodes"); do make_node_network "$n"; done
    # Processes outside the nodes reach services through the first node.
    ip route replace "$SERVICE_CIDR" via "$(node_ip 1)" dev "$BRIDGE"
    if [[ $OUTSIDE == yes ]]; then make_nat; fi
}

# Whether the machine forwards packets is every cluster's concern: the first one notes how it was, the last one to go
# puts it back.
readonly SHARED=/run/oxikube
turn_forwarding_on() {
    mkdir -p "$SHARED/clusters"
    [[ -e $SHARED/ip_forward ]] || sysctl -n net.ipv4.ip_forward >"$SHARED/ip_forward"
    touch "$SHARED/clusters/$CLUSTER"
    sysctl -qw net.ipv4.ip_forward=1
}

put_forwarding_back() {
    [[ -e $SHARED/clusters/$CLUSTER ]] || return 0
    rm "$SHARED/clusters/$CLUSTER"
    rmdir "$SHARED/clusters" 2>/dev/null || return 0
    sysctl -qw net.ipv4.ip_forward="$(cat "$SHARED/ip_forward")"
    rm -r "$SHARED"
}

make_node_network() {
    local n=$1 ns veth
    ns=$(node_netns "$n")
    veth=${CLUSTER:0:9}-n$n
    if [[ ! -e /run/netns/$ns ]]; then
        ip netns add "$ns"
        ip link add "$veth" type veth peer name eth0 netns "$ns"
        ip link set "$veth" master "$BRIDGE" up
        ip -n "$ns" link set lo up
        ip -n "$ns" addr add "$(node_ip "$n")/24" dev eth0
        ip -n "$ns" link set eth0 up
        if [[ $OUTSIDE == yes ]]; then ip -n "$ns" route add default via "$API_IP"; fi
    fi
    # A packet to a service needs a route before kube-proxy's rules see it; one that they don't know ends here.
    ip -n "$ns" route replace "$SERVICE_CIDR" dev eth0
    nsenter --net="/run/netns/$ns" sysctl -qw net.ipv4.ip_forward=1
    nsenter --net="/run/netns/$ns" sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
}

# Nodes reach the outside (image registries, name servers) behind the machine's own addresses.
make_nat() {
    nft -f - <<EOF
table ip $CLUSTER {}
delete table ip $CLUSTER
table ip $CLUSTER {
    chain postrouting {
        type nat hook postrouting priority srcnat
        ip saddr $HOST_NET.0/24 ip daddr != { $HOST_NET.0/24, $POD_CIDR, $SERVICE_CIDR } masquerade
    }
}
EOF
}

# Routes to each node's pods, known once the controller-manager has given the node its range.
route_pods() {
    local n cidr
    for n in $(seq "$1"); do
        cidr=$(kubectl --kubeconfig "$OUT/admin.kubeconfig" get node "$(node_name "$n")" -o 'jsonpath={.spec.podCIDR}')
        [[ -n $cidr ]] || die "$(node_name "$n") has no pod range"
        ip route replace "$cidr" via "$(node_ip "$n")" dev "$BRIDGE"
    done
}

remove_network() {
    local ns
    nft delete table ip "$CLUSTER" 2>/dev/null || true
    for ns in $(ip netns list | cut -d' ' -f1 | grep "^$CLUSTER-node-" || true); do ip netns del "$ns"; done
    ip route del unreachable "$SERVICE_CIDR" metric 4096 2>/dev/null || true
    ip route del unreachable "$POD_CIDR" metric 4096 2>/dev/null || true
    ip link del "$BRIDGE" 2>/dev/null || true
    put_forwarding_back
}
