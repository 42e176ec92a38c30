//! The node agent: pods from sources to containers.
