# A node: containerd, kubelet, pod-network and kube-proxy on the node's own network. Sourced by hack/up.

start_containerd() {
    local n=$1 dir socket
    dir=$(node_dir "$n")
    socket=$dir/containerd.sock
    mkdir -p "$dir/cni/net.d" "$dir/containerd"
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE a sandbox's score can't go below that of containerd.
    cat >"$dir/containerd.toml" <<EOF
version = 2
root = "$dir/containerd/root"
state = "$dir/containerd/state"
[grpc]
  address = "$socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
EOF
    start_daemon "node-$n-containerd" $(on_node "$n") "$(command -v containerd)" --config "$dir/containerd.toml"
    wait_for_daemon "node-$n-containerd" 30 ctr -a "$socket" version
}

# Imports every tar given into the node's image store, under the names that pods would use.
import_images() {
    local n=$1 tar ctr out name full
    ctr="ctr -a $(node_dir "$n")/containerd.sock -n k8s.io images"
    shift
    for tar in "$@"; do
        out=$($ctr import "$tar") || die "cannot import $tar into $(node_name "$n")"
        grep -q '^unpacking ' <<<"$out" ||
            die "$tar names no image: it needs RepoTags, or the annotation org.opencontainers.image.ref.name"
        for name in $(awk '$1 == "unpacking" { print $2 }' <<<"$out"); do
            full=$(full_name "$name" "$tar")
            [[ $full == "$name" ]] && continue
            $ctr tag --force "$name" "$full" >/dev/null
            $ctr rm "$name" >/dev/null
            if ((n == 1)); then note "$tar: $full"; fi
        done
    done
}

# full_name NAME FILE: with registry and repository, as the kubelet asks for it. containerd makes up a repository where the
# archive holds nothing but a tag; the file's name says more.
full_name() {
    local name=$1 stem first
    if [[ $name =~ ^import-[0-9]{4}-[0-9]{2}-[0-9]{2}:(.*)$ ]]; then
        stem=${2##*/}
        name=${stem%.tar*}:${BASH_REMATCH[1]}
    fi
    first=${name%%/*}
    if [[ $first == "$name" ]]; then
        echo "docker.io/library/$name"
    elif [[ $first == *[.:]* || $first == localhost ]]; then
        echo "$name"
    else
        echo "docker.io/$name"
    fi
}

write_kubelet_config() {
    local n=$1 dir
    dir=$(node_dir "$n")
    mkdir -p "$dir/manifests" "$dir/pod-logs"
    printf 'nameserver %s\n' "$(upstream_resolver)" >"$dir/resolv.conf"
    cat >"$dir/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $OUT/pki/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/$(node_name "$n")
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$dir/containerd.sock
# The nodes share the machine's disk with everything else on it, so how full it is says nothing about them and no pod of
# theirs can change it: no eviction, taint or image collection by disk. Memory is the pods' own.
evictionHard: {memory.available: 100Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
failSwapOn: false
failCgroupV1: false
healthzBindAddress: 127.0.0.1
podLogsDir: $dir/pod-logs
resolvConf: $dir/resolv.conf
rotateCertificates: false
serverTLSBootstrap: false
staticPodPath: $dir/manifests
tlsCertFile: $OUT/pki/nodes/$n/kubelet.crt
tlsPrivateKeyFile: $OUT/pki/nodes/$n/kubelet.key
EOF
}

# The machine's first name server that is not on loopback, which a node could not reach.
upstream_resolver() {
    local server
    server=$(awk '$1 == "nameserver" && $2 !~ /^127\./ && $2 !~ /:/ { print $2; exit }' \
        /run/systemd/resolve/resolv.conf /etc/resolv.conf 2>/dev/null || true)
    echo "${server:-$API_IP}"
}

# Upstream's kubelet does not start before its root group is there, in every hierarchy.
make_node_cgroup() {
    local mount
    for mount in $(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts); do
        mkdir -p "$mount/$CGROUP/$(node_name "$1")"
    done
}

start_kubelet() {
    local n=$1 dir
    dir=$(node_dir "$n")
    write_kubelet_config "$n"
    make_node_cgroup "$n"
    start_daemon "node-$n-kubelet" $(on_node "$n") "$KUBELET" \
        --config="$dir/kubelet.yaml" \
        --kubeconfig="$OUT/kubeconfig/$(node_name "$n").conf" \
        --hostname-override="$(node_name "$n")" \
        --node-ip="$(node_ip "$n")" \
        --root-dir="$dir/kubelet" \
        --cert-dir="$dir/kubelet/pki" \
        --v=2
}

start_pod_network() {
    local n=$1 dir
    dir=$(node_dir "$n")
    start_daemon "node-$n-pod-network" $(on_node "$n") "$POD_NETWORK" \
        --kubeconfig="$OUT/kubeconfig/pod-network.conf" \
        --node-name="$(node_name "$n")" \
        --cluster-cidr="$POD_CIDR" \
        --cni-conf-dir="$dir/cni/net.d" \
        --cni-data-dir="$dir/cni/data"
}

start_kube_proxy() {
    local n=$1 dir
    dir=$(node_dir "$n")
    cat >"$dir/kube-proxy.yaml.new" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $OUT/kubeconfig/kube-proxy.conf}
clusterCIDR: $POD_CIDR
# The size of the connection table is the machine's affair: a network namespace can't set it.
conntrack: {maxPerCore: 0}
hostnameOverride: $(node_name "$n")
mode: $PROXY_MODE
EOF
    # The proxy, ours as well as the Go one, exits when its configuration changes.
    if cmp -s "$dir/kube-proxy.yaml.new" "$dir/kube-proxy.yaml"; then
        rm "$dir/kube-proxy.yaml.new"
    else
        stop_daemon "node-$n-kube-proxy"
        mv "$dir/kube-proxy.yaml.new" "$dir/kube-proxy.yaml"
    fi
    start_daemon "node-$n-kube-proxy" $(on_node "$n") "$KUBE_PROXY" --config="$dir/kube-proxy.yaml" --v=2
}
