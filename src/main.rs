//! The `ffn-bridge` program: see `ffn-bridge --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ffn_bridge::cli::main()
}
