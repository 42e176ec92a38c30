# The control plane: certificates, API server, controller-manager, scheduler. Sourced by hack/up.

make_certificates() {
    local nodes=$1 n pki=$OUT/pki sans
    sans=$API_IP,127.0.0.1,localhost
    "$KUBEADM" init phase certs all --cert-dir="$pki" --apiserver-advertise-address="$API_IP" \
        --apiserver-cert-extra-sans="$sans" --service-cidr="$SERVICE_CIDR" --service-dns-domain=cluster.local
    make_kubeconfig admin kubernetes-admin system:masters "$OUT/admin.kubeconfig"
    make_kubeconfig controller-manager system:kube-controller-manager ''
    make_kubeconfig scheduler system:kube-scheduler ''
    make_kubeconfig kube-proxy system:kube-proxy system:node-proxier
    make_kubeconfig pod-network system:pod-network ''
    for n in $(seq "$nodes"); do
        make_kubeconfig "$(node_name "$n")" "system:node:$(node_name "$n")" system:nodes
        make_serving_certificate "$n"
    done
}

# make_kubeconfig NAME USER GROUP [FILE]: a client certificate inside a kubeconfig, made once.
make_kubeconfig() {
    local file=${4:-$OUT/kubeconfig/$1.conf}
    [[ -s $file ]] && return 0
    mkdir -p "$(dirname "$file")"
    "$KUBEADM" kubeconfig user --client-name="$2" ${3:+--org="$3"} --cert-dir="$OUT/pki" \
        --server="https://$API_IP:$API_PORT" >"$file.new"
    chmod 600 "$file.new"
    mv "$file.new" "$file"
}

# The certificate that a kubelet serves with, signed by the cluster's authority.
make_serving_certificate() {
    local dir=$OUT/pki/nodes/$1
    [[ -s $dir/kubelet.crt ]] && return 0
    "$KUBEADM" init phase certs kubelet-server --cert-dir="$OUT/pki" --out-dir="$dir" \
        --node-name="$(node_name "$1")" --node-ip="$(node_ip "$1")"
}

# Whoever shows no credentials may ask for health, and nothing else.
write_authentication_config() {
    cat >"$OUT/authentication.yaml" <<EOF
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]
EOF
}

start_apiserver() {
    local pki=$OUT/pki
    write_authentication_config
    start_daemon kube-apiserver "$KUBE_APISERVER" "${STORE_FLAGS[@]}" \
        --advertise-address="$API_IP" \
        --secure-port="$API_PORT" \
        --authentication-config="$OUT/authentication.yaml" \
        --authorization-mode=Node,RBAC \
        --enable-admission-plugins=NodeRestriction \
        --allow-privileged=true \
        --client-ca-file="$pki/ca.crt" \
        --tls-cert-file="$pki/apiserver.crt" \
        --tls-private-key-file="$pki/apiserver.key" \
        --kubelet-certificate-authority="$pki/ca.crt" \
        --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" \
        --kubelet-client-key="$pki/apiserver-kubelet-client.key" \
        --kubelet-preferred-address-types=InternalIP \
        --requestheader-client-ca-file="$pki/front-proxy-ca.crt" \
        --requestheader-allowed-names=front-proxy-client \
        --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --requestheader-group-headers=X-Remote-Group \
        --requestheader-username-headers=X-Remote-User \
        --proxy-client-cert-file="$pki/front-proxy-client.crt" \
        --proxy-client-key-file="$pki/front-proxy-client.key" \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file="$pki/sa.pub" \
        --service-account-signing-key-file="$pki/sa.key" \
        --service-cluster-ip-range="$SERVICE_CIDR" \
        --v=2
    wait_for_daemon kube-apiserver 60 \
        kubectl --kubeconfig "$OUT/admin.kubeconfig" get --raw /readyz
}

start_controller_manager() {
    local pki=$OUT/pki
    start_daemon kube-controller-manager "$KUBE_CONTROLLER_MANAGER" \
        --kubeconfig="$OUT/kubeconfig/controller-manager.conf" \
        --authentication-kubeconfig="$OUT/kubeconfig/controller-manager.conf" \
        --authorization-kubeconfig="$OUT/kubeconfig/controller-manager.conf" \
        --bind-address="$API_IP" \
        --allocate-node-cidrs=true \
        --cluster-cidr="$POD_CIDR" \
        --service-cluster-ip-range="$SERVICE_CIDR" \
        --cluster-signing-cert-file="$pki/ca.crt" \
        --cluster-signing-key-file="$pki/ca.key" \
        --root-ca-file="$pki/ca.crt" \
        --service-account-private-key-file="$pki/sa.key" \
        --use-service-account-credentials=true \
        --controllers='*,bootstrapsigner,tokencleaner' \
        --leader-elect=true \
        --v=2
}

start_scheduler() {
    start_daemon kube-scheduler "$KUBE_SCHEDULER" \
        --kubeconfig="$OUT/kubeconfig/scheduler.conf" \
        --authentication-kubeconfig="$OUT/kubeconfig/scheduler.conf" \
        --authorization-kubeconfig="$OUT/kubeconfig/scheduler.conf" \
        --bind-address="$API_IP" \
        --leader-elect=true \
        --v=2
}
