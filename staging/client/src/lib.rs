//! Client of the Kubernetes API: kubeconfig, REST, watch, discovery, streams.
