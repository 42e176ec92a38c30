//! The controllers, their wiring and options.
