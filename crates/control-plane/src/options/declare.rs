//! The declaration of the flags.

use component_base::features;
use component_base::options::FlagSet;

use super::known::KNOWN;
use super::store;

/// The flags of kube-apiserver.
pub fn flags() -> FlagSet {
    let mut set = FlagSet::new(
        "kube-apiserver",
        "Serves the Kubernetes API: the one way to the state of a cluster.",
    );
    serving(&mut set);
    store::declare(&mut set);
    authentication(&mut set);
    service_accounts(&mut set);
    authorization_and_admission(&mut set);
    cluster(&mut set);
    features::add_flag(&mut set);
    set.known(KNOWN);
    set
}

fn serving(set: &mut FlagSet) {
    set.string("bind-address", "0.0.0.0", "Address to listen on")
        .int("secure-port", 6443, "Port to serve HTTPS on")
        .string("advertise-address", "", "Address at which the cluster's members reach this server; by default that of the interface with the default route")
        .string("tls-cert-file", "", "Certificate to serve with, followed by its authorities")
        .string("tls-private-key-file", "", "Key of --tls-cert-file")
        .string("cert-dir", "/var/run/kubernetes", "Folder for the certificate that is made when none is given")
        .string("tls-min-version", "", "Lowest TLS version: VersionTLS12 or VersionTLS13")
        .duration("request-timeout", "1m0s", "How long a request that is no watch or stream may take")
        .int("min-request-timeout", 1800, "Seconds that a watch lasts at least, unless it asks for less")
        .duration("livez-grace-period", "0s", "How long after its start the server counts as live although not all has started")
        .duration("shutdown-delay-duration", "0s", "How long the server goes on when it is told to end, not ready but serving, so that load balancers can turn away from it")
        .switch("shutdown-send-retry-after", false, "Keep the port open until the last request is through, and answer new ones with 429 and Retry-After")
        .duration("shutdown-watch-termination-grace-period", "0s", "Time over which watches end, and for which the server waits for them; 0: they end at once")
        .float("goaway-chance", 0.0, "Fraction of requests after which an HTTP/2 client is sent away by a GOAWAY, to spread clients over servers; at most 0.02")
        .int("http2-max-streams-per-connection", 0, "Requests that a client may have running on one HTTP/2 connection; 0: 100")
        .string("endpoint-reconciler-type", "lease", "Who keeps the endpoints of the Service kubernetes: lease (all servers with a lease), master-count, none")
        .int("kubernetes-service-node-port", 0, "Node port of the Service kubernetes; 0: it has none")
        .int("max-requests-inflight", 400, "Reading requests served at once; 0: no limit")
        .int("max-mutating-requests-inflight", 200, "Changing requests served at once; 0: no limit")
        .switch("enable-priority-and-fairness", true, "Divide the sum of both limits between flows, and queue what is beyond, instead of refusing beyond each limit")
        .switch("profiling", true, "Serve profiles below /debug/pprof");
}

fn authentication(set: &mut FlagSet) {
    set.string(
        "client-ca-file",
        "",
        "Authorities whose client certificates are accepted",
    )
    .string("token-auth-file", "", "File of static tokens")
    .switch(
        "enable-bootstrap-token-auth",
        false,
        "Accept the tokens of bootstrap secrets in kube-system",
    )
    .string(
        "authentication-config",
        "",
        "An AuthenticationConfiguration: who may come without credentials, and where",
    )
    .switch(
        "anonymous-auth",
        true,
        "Let requests without credentials in as system:anonymous",
    )
    .string("requestheader-client-ca-file", "", "Authorities of front proxies")
    .strings(
        "requestheader-allowed-names",
        "",
        "Common names of front proxies; empty: any that the authority signed",
    )
    .strings(
        "requestheader-username-headers",
        "x-remote-user",
        "Headers in which front proxies name the user",
    )
    .strings(
        "requestheader-uid-headers",
        "",
        "Headers in which front proxies give the user's uid",
    )
    .strings(
        "requestheader-group-headers",
        "x-remote-group",
        "Headers in which front proxies name groups",
    )
    .strings(
        "requestheader-extra-headers-prefix",
        "x-remote-extra-",
        "Prefixes of the headers in which front proxies give extra values",
    );
}

fn service_accounts(set: &mut FlagSet) {
    set.string_array(
        "service-account-issuer",
        "Issuer of service-account tokens; the first one signs, all are accepted",
    )
    .string_array(
        "service-account-key-file",
        "Keys that verify service-account tokens",
    )
    .string(
        "service-account-signing-key-file",
        "",
        "Key that signs service-account tokens",
    )
    .string(
        "service-account-jwks-uri",
        "",
        "Where others find the keys that verify tokens",
    )
    .strings(
        "api-audiences",
        "",
        "Audiences of tokens for this server; by default the issuer",
    )
    .duration(
        "service-account-max-token-expiration",
        "0s",
        "Longest life of a token; 0: no limit",
    )
    .switch(
        "service-account-extend-token-expiration",
        true,
        "Let tokens that pods use live longer than the pod asks for",
    );
}

fn authorization_and_admission(set: &mut FlagSet) {
    set.strings(
        "authorization-mode",
        "AlwaysAllow",
        "Authorizers in order: Node, RBAC, AlwaysAllow, AlwaysDeny",
    )
    .strings(
        "enable-admission-plugins",
        "",
        "Admission plugins to run beside the default ones",
    )
    .strings(
        "disable-admission-plugins",
        "",
        "Default admission plugins not to run",
    )
    .int(
        "default-not-ready-toleration-seconds",
        300,
        "How long pods tolerate notReady:NoExecute by default",
    )
    .int(
        "default-unreachable-toleration-seconds",
        300,
        "How long pods tolerate unreachable:NoExecute by default",
    );
}

fn cluster(set: &mut FlagSet) {
    set.switch("allow-privileged", false, "Allow privileged containers")
        .string(
            "kubelet-client-certificate",
            "",
            "Certificate that kubelets are reached with",
        )
        .string("kubelet-client-key", "", "Key of --kubelet-client-certificate")
        .string(
            "kubelet-certificate-authority",
            "",
            "Authorities of kubelets' serving certificates",
        )
        .strings(
            "kubelet-preferred-address-types",
            "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP",
            "Which of a node's addresses to use, in order",
        )
        .duration(
            "kubelet-timeout",
            "5s",
            "How long a connection to a kubelet may take",
        )
        .string(
            "proxy-client-cert-file",
            "",
            "Certificate that extension servers are reached with",
        )
        .string("proxy-client-key-file", "", "Key of --proxy-client-cert-file")
        .switch(
            "enable-aggregator-routing",
            false,
            "Whether webhooks and extension servers are reached at their endpoints instead of their service's address",
        )
        .string(
            "service-cluster-ip-range",
            "10.0.0.0/24",
            "Ranges of service addresses, comma separated, at most one of each family",
        )
        .string("service-node-port-range", "30000-32767", "Range of node ports");
}
