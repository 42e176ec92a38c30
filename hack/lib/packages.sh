# What the machine must have, installed when it is missing. Sourced by the scripts in hack/.

# Debian and Ubuntu package that brings each command or file.
readonly BUILD_PACKAGES=(build-essential ca-certificates curl)
readonly CLUSTER_PACKAGES=(containerd runc containernetworking-plugins iptables nftables conntrack iproute2 busybox-static util-linux)
# Tests of stores run their own etcd; without it they say that they were skipped.
readonly STORE_PACKAGES=(etcd-server)

install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    [[ $(id -u) == 0 ]] || die "these packages are missing and need root to install: ${missing[*]}"
    step "installing ${missing[*]}"
    apt-get update -qq
    # Packaged services are of no use here: each node runs its own containerd.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_kubectl() {
    command -v kubectl >/dev/null && return 0
    install_packages kubernetes-client
}

# Prints the path of Debian's own kubectl, which is years older than any current one: extracted into target/, because
# its package conflicts with others that bring a kubectl. Prints nothing where there is no such package.
debian_kubectl() {
    local dir=$ROOT/target/kubernetes-client
    if [[ ! -x $dir/usr/bin/kubectl ]]; then
        mkdir -p "$dir"
        apt-cache show kubernetes-client &>/dev/null || apt-get update -qq
        (cd "$dir" && apt-get download -qq kubernetes-client >/dev/null 2>&1 && dpkg -x kubernetes-client_*.deb . && rm ./*.deb) ||
            return 0
    fi
    echo "$dir/usr/bin/kubectl"
}

# The toolchain that rust-toolchain.toml names, through rustup.
install_rust() {
    [[ -f $HOME/.cargo/env ]] && . "$HOME/.cargo/env"
    if ! command -v cargo >/dev/null; then
        step "installing Rust"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none
        . "$HOME/.cargo/env"
    fi
    (cd "$ROOT" && cargo --version >/dev/null) || die "cargo does not run"
}
