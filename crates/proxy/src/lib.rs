//! Services as packet rules.
