//! The built-in resources: a row and a strategy each.
