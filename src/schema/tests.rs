//! What the module promises as a whole: fresh files, valid schemas, readable faults, no panic.

mod bodies;
mod documents;
mod garbage;
