//! Field sets, field managers and server-side apply.
