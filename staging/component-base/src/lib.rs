//! What every daemon shares: options, configuration, logging, metrics, health, TLS serving, shutdown.
