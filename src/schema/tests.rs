//! What the module promises as a whole: fresh files, valid schemas, readable faults, no panic.

mod bodies;
mod contract;
mod documents;
mod garbage;
mod samples;
