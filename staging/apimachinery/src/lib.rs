//! Vocabulary of the Kubernetes API: identities, metadata, selectors, quantities, times, statuses, patches.
