//! SIGKILL between any two steps of a command's way, the bridge away, the broker's connection cut: one
//! order, one outcome, nothing left behind.

mod connection;
mod random;
mod steps;
